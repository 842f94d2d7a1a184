/**
 * What the name of a network's owner says: whether it sells access or machines, teaches, governs, or does something that
 * has nothing to do with networks. Names are all that open data have; where one says nothing, nothing is concluded.
 */
import type { NetworkType } from './networks.ts'

// Legal forms of companies, as they end names; "Co., Ltd." is two of them.
const legalForm =
  /[\s,]+(?:inc(?:orporated)?|l\.?l\.?c|ltd|limited|corp(?:oration)?|co|company|plc|gmbh(?: & co\.? ?(?:kg|ohg))?|mbh|ag|kg|se|sa|s\.a\.?s?|sas|s\.?a\.?r\.?l|s\.?p\.?a|s\.?r\.?l|s\.?l\.?u?|s\.a\.u|b\.?v|n\.?v|a\/s|aps|ab|asa|as|oyj?|pjsc|ojsc|jsc|llp|l\.?p|kk|k\.k|pty|pvt|private|pte|bhd|sdn|tbk|d\.?o\.?o|a\.?s|s\.?r\.?o|z o\.?o|sp\.? z o\.?o|kft|zrt|ltda|s\.a\. de c\.v|de c\.v|e\.?v)\.?$/i

// APNIC's lists put the name of the network first: "EXAMPLE-AS-AP - Example Pty Ltd".
const handle = /^[A-Z0-9_]+(?:-[A-Z0-9_]+)+ - (?=\S)/

/** Without legal forms and what registries add: "Example Networks Co., Ltd." and "EXAMPLE NETWORKS" are alike. */
export function normaliseName(text: string): string {
  let name = text.trim().replace(/\s+/g, ' ').replace(handle, '')
  // Three are the most that were seen one after another.
  for (let i = 0; i < 3; i++) {
    const shorter = name.replace(legalForm, '').replace(/[\s,.&]+$/, '')
    if (shorter === name || shorter.length < 2) break
    name = shorter
  }
  return name
}

// Carriers and hosters with more networks than the table has, by how their names begin.
const accessBrands =
  /^(?:a1|airtel|altibox|andrews & arnold|at&t|bahnhof|bezeq|bharti|bouygues|british telecom|brutele|charter|china (?:mobile|telecom|unicom)|claro|cogeco|comcast|cox|cyta|deutsche telekom|digi|digicel|digiweb|dna|du|e-plus|elisa|embratel|entel|etisalat|flow|free sas|globalconnect|iliad|init7|joink|kcom|kddi|kpn|lg (?:hellovision|u\+|uplus|dacom|powercomm)|lumen|magyar telekom|maxis|megafon|mobily|movistar|mtn|mts|ntt|o2|oi s|ooredoo|optus|orange (?!county)|ote|pccw|proximus|rcs & rds|reliance jio|rogers|rostelecom|safaricom|sfr|shaw|singtel|sky uk|sonera|spectrum|sprint|starhub|starlink|sunrise|swisscom|t-2|t-mobile|tdc|tele ?2|tele columbus|telefonica|telekom|telenet|telenor|telia|telkom|telmex|telstra|telus|tigo|tim|turkcell|unitymedia|upc|verizon|wideopenwest|wow!|viettel|virgin media|vivo|vocus|vodacom|vodafone|windstream|zain|ziggo|zong|3bb)\b/i
const hostingBrands =
  /^(?:aruba|beget|binero|bluehost|claranet|colocrossing|contabo|crusoe|cyrusone|datacamp|digital realty|digitalocean|dreamhost|equinix|godaddy|hetzner|hivelocity|infomaniak|ionos|iomart|leaseweb|linode|liquid ?web|loopia|m247|navisite|netcup|one\.com|online s\.?a|ovh|packethub|rackspace|scaleway|selectel|servers\.com|strato|tencent|timeweb|transip|vultr|worldstream|zenlayer)\b/i

const patterns: readonly (readonly [NetworkType, RegExp])[] = [
  [
    'education',
    /\b(?:universi\w*|univ|college|school|schools|hochschule|fachhochschule|institute of technology|academy|academic|education\w*|campus|polytechn\w*|politecnico|ecole|faculty|nren|research (?:and|&) education|k-?12)\b|école/i,
  ],
  [
    'government',
    /\b(?:government|gov|ministry|ministerio|minist[eè]re|bundes\w*|municipal\w*|city of|county of|state of|department of|dept\.? of|federal (?:agency|office|government)|parliament|army|navy|air force|military|defen[cs]e|police|prefeitura|gobierno|administration of|commonwealth of|province of|national institutes?)\b/i,
  ],
  ['cdn', /\b(?:cdn|content delivery|edge network)\b/i],
  [
    'hosting',
    /\b(?:host|hosts|hosting|hosted|hoster|webhost\w*|server|servers|vps|data ?cent(?:er|re)s?|cloud|colo|colocation|dedicated|idc|vpn|proxy)\b|hosting|datacenter|cloud$/i,
  ],
  ['mobile', /\b(?:mobile|cellular|cellco|wireless telecom|gsm|lte|movil|m[oó]viles)\b/i],
  [
    'isp',
    /\b(?:isp|internet|internetu|broad ?band|bredband|breitband|telecom\w*|telekom\w*|telco|tel[eé]com\w*|t[eé]l[eé]phon\w*|telephon\w*|telef[oó]n\w*|telefonica|communications?|communicaci\w+|comunica\w+|fib(?:er|re|ra)\w*|cable\w*|kabel\w*|catv|dsl|adsl|wifi|wi-fi|wireless|wisp|satellite|network|networks|networking|net|online|connect\w*|carrier|transit|exchange|ix|access|rural|electric coop\w*|cooperativ\w*|co-?op|powernet|provider\w*|provedor\w*|dial-?up|dslam|wan|link|linknet|vision|infocom\w*|infocomm|ip|\w*s[vw][yj]az\w*)\b|(?:net|com|link|tel|wave|fiber|fibra|telecom|speed|wifi|online|isp)$|\.net\b/i,
  ],
]

/** What a name says of its owner; null: nothing. "Federal Credit Union" is a bank and no government. */
export function typeOfName(name: string): NetworkType | null {
  if (/\b(?:credit union|bank|banco|banque|insurance|versicherung)\b/i.test(name)) return 'business'
  if (accessBrands.test(name)) return 'isp'
  if (hostingBrands.test(name)) return 'hosting'
  for (const [type, pattern] of patterns) if (pattern.test(name)) return type
  return null
}

// What has nothing to do with networks, in the languages that names of networks are in most.
const trade =
  /\b(?:banks?|banka|bank[aeiou]?\w{0,3}|banco|banque|banca|sparkasse|raiffeisen\w*|credit union|mortgage|leasing|insurance|assurances?|seguros|assicurazion\w*|versicherung\w*|sigorta|securities|invest(?:ments?|ors?|iciones)|asset management|pension|financ\w*|finanz\w*|broker\w*|payments?|stockbrok\w*|motors?|automo\w*|vehicles?|aerospace|pharma\w*|farma\w*|biotech\w*|airlines?|airways|aviation|aeropuerto|airports?|hospitals?|hospitalar|hospice|clinics?|cl[ií]nica|medical\w*|medic(?:ine|al)|health\w*|klinik\w*|krankenhaus|diagnostics?|dental|energy|energ[ií]a|[eé]nergie|energia|petrol\w*|oil|gas|steel|metals?|metall\w*|mining|minera|cement|chemicals?|chemie|chimi\w*|plastics?|paper|textil\w*|foods?|alimentos|beverages?|brewer\w*|dairy|farms?|agri\w*|agro\w*|hotels?|resorts?|casinos?|lottery|betting|retail|stores?|supermarkets?|fashion|furniture|jewelry|logisti\w*|shipping|freight|cargo|railway\w*|railroad|transport\w*|spedition|engineering|construct\w*|construtora|bau|building|architect\w*|manufactur\w*|industri\w*|maschinen\w*|machinery|laborator\w*|attorneys?|law|legal|lawyers|rechtsanw\w*|accountan\w*|audit|real estate|realty|immobilien|properties|publish\w*|newspapers?|zeitung|verlag|museum|cruises?|travel|tourism)\b/i

/** A legal form, or a trade that has nothing to do with networks. */
export function looksLikeCompany(text: string): boolean {
  return legalForm.test(text.trim()) || trade.test(text)
}

/**
 * The same of a name that is all there is: of those who have a number of their own for their network and a legal form
 * besides, one in four sells access or machines, so it takes a trade.
 */
export function isPlainlyCompany(text: string): boolean {
  return trade.test(text)
}
