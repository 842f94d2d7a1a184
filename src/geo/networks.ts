/**
 * The largest networks and well-known companies by number of their autonomous system, as a table written for this
 * project: what they are, under one name for all the networks of an organisation.
 */
import { accessNetworks, mobileNetworks } from './networks/access.ts'
import { businessNetworks, companyNames } from './networks/business.ts'
import { contentNetworks, hostingNetworks } from './networks/hosting.ts'
import { educationNetworks, governmentNetworks } from './networks/public.ts'

export const networkTypes = [
  'business',
  'isp',
  'hosting',
  'education',
  'government',
  'mobile',
  'cdn',
  'private',
] as const
export type NetworkType = (typeof networkTypes)[number]

export type KnownNetwork = { name: string; domain: string; type: NetworkType }

function linesOf(text: string): string[][] {
  return text
    .trim()
    .split('\n')
    .map((line) => line.split('|'))
}

const tables: readonly (readonly [NetworkType, string])[] = [
  ['isp', accessNetworks],
  ['mobile', mobileNetworks],
  ['hosting', hostingNetworks],
  ['cdn', contentNetworks],
  ['education', educationNetworks],
  ['government', governmentNetworks],
  ['business', businessNetworks],
]

export const knownNetworks: ReadonlyMap<number, KnownNetwork> = new Map(
  tables.flatMap(([type, text]) =>
    linesOf(text).flatMap(([numbers = '', name = '', domain = '']) =>
      numbers.split(' ').map((asn) => [Number(asn), { name, domain, type }] as const),
    ),
  ),
)

/** `start`: how the normalised name begins, in lower case. */
export const knownCompanies: readonly { start: string; name: string; domain: string }[] = linesOf(
  companyNames,
).map(([start = '', name = '', domain = '']) => ({ start, name, domain }))

// Legal forms of companies, as they end names; "Co., Ltd." is two of them.
const legalForm =
  /[\s,]+(?:inc(?:orporated)?|l\.?l\.?c|ltd|limited|corp(?:oration)?|co|company|plc|gmbh(?: & co\.? ?(?:kg|ohg))?|mbh|ag|kg|se|sa|s\.a\.?s?|sas|s\.?a\.?r\.?l|s\.?p\.?a|s\.?r\.?l|s\.?l\.?u?|s\.a\.u|b\.?v|n\.?v|a\/s|aps|ab|asa|as|oyj?|pjsc|ojsc|jsc|llp|l\.?p|kk|k\.k|pty|pvt|private|pte|bhd|sdn|tbk|d\.?o\.?o|a\.?s|s\.?r\.?o|z o\.?o|sp\.? z o\.?o|kft|zrt|ltda|s\.a\. de c\.v|de c\.v|e\.?v)\.?$/i

/** Without legal forms and what registries add: "Example Networks Co., Ltd." and "EXAMPLE NETWORKS" are alike. */
export function normaliseName(text: string): string {
  let name = text.trim().replace(/\s+/g, ' ')
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
  /^(?:a1|airtel|altibox|andrews & arnold|at&t|bahnhof|bezeq|bharti|bouygues|british telecom|brutele|charter|china (?:mobile|telecom|unicom)|claro|cogeco|comcast|cox|cyta|deutsche telekom|digi|digicel|digiweb|dna|du|e-plus|elisa|embratel|entel|etisalat|flow|free sas|globalconnect|iliad|init7|joink|kcom|kddi|kpn|lg (?:hellovision|u\+|uplus|dacom|powercomm)|lumen|magyar telekom|maxis|megafon|mobily|movistar|mtn|mts|ntt|o2|oi s|ooredoo|optus|orange (?!county)|ote|pccw|proximus|rcs & rds|reliance jio|rogers|rostelecom|safaricom|sfr|shaw|singtel|sky uk|sonera|spectrum|sprint|starhub|starlink|sunrise|swisscom|t-2|t-mobile|tdc|tele ?2|tele columbus|telefonica|telekom|telenet|telenor|telia|telkom|telmex|telstra|telus|tigo|tim|turkcell|unitymedia|upc|verizon|viettel|virgin media|vivo|vocus|vodacom|vodafone|windstream|zain|ziggo|zong|3bb)\b/i
const hostingBrands =
  /^(?:aruba|beget|binero|bluehost|claranet|colocrossing|contabo|datacamp|digitalocean|dreamhost|godaddy|hetzner|hivelocity|infomaniak|ionos|iomart|leaseweb|linode|liquid ?web|loopia|m247|navisite|netcup|one\.com|online s\.?a|ovh|packethub|rackspace|scaleway|selectel|servers\.com|strato|tencent|timeweb|transip|vultr|worldstream|zenlayer)\b/i

const patterns: readonly (readonly [NetworkType, RegExp])[] = [
  [
    'education',
    /\b(?:universi\w*|univ|college|school|schools|hochschule|fachhochschule|institute of technology|academy|academic|education\w*|campus|polytechn\w*|politecnico|ecole|faculty|nren|research (?:and|&) education|k-?12)\b|école/i,
  ],
  [
    'government',
    /\b(?:government|gov|ministry|ministerio|minist[eè]re|bundes\w*|municipal\w*|city of|county of|state of|department of|dept\.? of|federal (?:agency|office|government)|parliament|army|navy|air force|military|defen[cs]e|police|prefeitura|gobierno|administration of|commonwealth of|province of)\b/i,
  ],
  ['cdn', /\b(?:cdn|content delivery|edge network)\b/i],
  [
    'hosting',
    /\b(?:host|hosts|hosting|hosted|hoster|webhost\w*|server|servers|vps|data ?cent(?:er|re)s?|cloud|colo|colocation|dedicated|idc|vpn|proxy)\b|hosting|datacenter|cloud$/i,
  ],
  ['mobile', /\b(?:mobile|cellular|cellco|wireless telecom|gsm|lte|movil|m[oó]viles)\b/i],
  [
    'isp',
    /\b(?:isp|internet|internetu|broad ?band|bredband|breitband|telecom\w*|telekom\w*|telco|tel[eé]com\w*|t[eé]l[eé]phon\w*|telephon\w*|telef[oó]n\w*|telefonica|communications?|communicaci\w+|comunica\w+|fib(?:er|re|ra)\w*|cable\w*|kabel\w*|catv|dsl|adsl|wifi|wi-fi|wireless|wisp|satellite|network|networks|networking|net|online|connect\w*|carrier|transit|exchange|ix|access|rural|electric coop\w*|cooperative|co-?op|powernet|provider\w*|provedor\w*|dial-?up|dslam|wan|link|linknet|vision|infocom\w*|infocomm)\b|(?:net|com|link|tel|wave|fiber|fibra|telecom|speed|wifi|online|isp)$|\.net\b/i,
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

/** A legal form, or a trade that has nothing to do with networks. */
export function looksLikeCompany(text: string): boolean {
  return (
    legalForm.test(text.trim()) ||
    /\b(?:bank|banco|banque|credit union|insurance|motors?|pharma\w*|airlines?|airways|hospital|clinic|energy|oil|gas|steel|foods?|software|media|group|holdings?|capital|securities|retail|stores?|consult\w*|industr\w*|logistics|engineering|technologies|laborator\w*)\b/i.test(
      text,
    )
  )
}
