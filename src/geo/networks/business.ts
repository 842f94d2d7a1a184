/** Companies with a network of their own. Numbers, name, domain. */

export const businessNetworks = `
714 6185|Apple|apple.com
521|Ford|ford.com
30383|General Motors|gm.com
31399|Mercedes-Benz|mercedes-benz.com
6253|Prudential|prudential.com
4249|Eli Lilly|lilly.com
11003|Procter & Gamble|pg.com
10794|Bank of America|bankofamerica.com
7054|Merck|merck.com
209502|EDF|edf.fr
10695|Walmart|walmart.com
1766|ExxonMobil|exxonmobil.com
8729|Credit Suisse|credit-suisse.com
72|SLB|slb.com
109|Cisco|cisco.com
18676|Avaya|avaya.com
1958|NCR|ncr.com
7792|3M|3m.com
158|Ericsson|ericsson.com
14340|Salesforce|salesforce.com
2510|Fujitsu|fujitsu.com
6619|Samsung SDS|samsungsds.com
5619|Tietoevry|tietoevry.com
71|HP|hp.com
80|GE|ge.com
4983|Intel|intel.com
3614|Dell|dell.com
10837|Wells Fargo|wellsfargo.com
32287|Citigroup|citi.com
10361|Bloomberg|bloomberg.com
13414|X|x.com
14413|LinkedIn|linkedin.com
36646 10310 26101 34010|Yahoo|yahooinc.com
62041 62014 59930|Telegram|telegram.org
62955|eBay|ebay.com
11643|eBay|ebay.com
17012|PayPal|paypal.com
394161|Tesla|tesla.com
63086|Uber|uber.com
43996|Booking.com|booking.com
46489|Twitch|twitch.tv
32590|Valve|valvesoftware.com
57976|Blizzard Entertainment|blizzard.com
6507|Riot Games|riotgames.com
22697|Roblox|roblox.com
40428|Pandora|siriusxm.com
11251|Disney|disney.com
23344|Disney|disney.com
3147|U.S. Bancorp|usbank.com
26415|Verisign|verisign.com
12041|Afilias|identity.digital
1313 15224|Adobe|adobe.com
13443|LinkedIn|linkedin.com
12510 200291 201807 203080 204227 205356 212794 3271 35039 22370 137986|SAP|sap.com
22753 21785 22360 31976 399140 40955 47941|Red Hat|redhat.com
11414 20347 38564 38834 398037 40971 50889 60977|NVIDIA|nvidia.com
196 2030 27572 30533 3715 46282|Boeing|boeing.com
8188 199559 58850|Bloomberg|bloomberg.com
394562 5091|Stripe|stripe.com
395762 54229|Airbnb|airbnb.com
30103|Zoom|zoom.com
54535 46264|Nike|nike.com
16839 397182|ServiceNow|servicenow.com
2134 20760|Santander|santander.com
2535 613|BP|bp.com
10991 27564|Capgemini|capgemini.com
33619|AMD|amd.com
14381|Caterpillar|caterpillar.com
31747 11336|BlackRock|blackrock.com
11283|Costco|costco.com
11030 33198 17032 19056 394302|Qualcomm|qualcomm.com
2763 64280|Palo Alto Networks|paloaltonetworks.com
18071|Panasonic|panasonic.com
393349 22220 399707 393342 7060 40053 399842|Electronic Arts|ea.com
59109 18139 23616 7513 24280|Hitachi|hitachi.com
18258|Morgan Stanley|morganstanley.com
11355|Shell|shell.com
3458 55239 3810|Volkswagen|volkswagen.com
24189 133377|IBM|ibm.com
7116 13314|Toyota|toyota.com
6095|Novartis|novartis.com
46864 18465 27515|Workday|workday.com
40659|BMW|bmw.com
24263|Honda|honda.com
393355 400895 22106|Samsung|samsung.com
32309 63538|Accenture|accenture.com
32251|BNP Paribas|bnpparibas.com
28547|The Home Depot|homedepot.com
25676|FedEx|fedex.com
23245|Airbus|airbus.com
19745|Okta|okta.com
19459 202200|Siemens|siemens.com
137220 136806 133462|Texas Instruments|ti.com
10746|Toshiba|toshiba.com
398284|Lufthansa|lufthansa.com
397918|adidas|adidas.com
23152 131938|Nissan|nissan-global.com
18552|Sony Pictures|sonypictures.com
17694 146812|Deutsche Bank|db.com
16142|ING|ing.com
131497|Volkswagen|volkswagen.com
18434 46203 30680|FIS|fisglobal.com
`

/**
 * Companies whose name is enough, however many networks they have: the beginning of the normalised name in lower
 * case, name, domain.
 */
export const companyNames = `
accenture|Accenture|accenture.com
adidas|adidas|adidas.com
airbus|Airbus|airbus.com
aldi|ALDI|aldi.com
allianz|Allianz|allianz.com
american express|American Express|americanexpress.com
asml|ASML|asml.com
astrazeneca|AstraZeneca|astrazeneca.com
atlassian|Atlassian|atlassian.com
axa|AXA|axa.com
barclays|Barclays|barclays.com
basf|BASF|basf.com
bayer |Bayer|bayer.com
bloomberg|Bloomberg|bloomberg.com
bmw|BMW|bmw.com
boeing|Boeing|boeing.com
bombardier|Bombardier|bombardier.com
booz allen|Booz Allen Hamilton|boozallen.com
bridgestone|Bridgestone|bridgestone.com
bristol-myers squibb|Bristol-Myers Squibb|bms.com
broadcom|Broadcom|broadcom.com
capital one|Capital One|capitalone.com
cargill|Cargill|cargill.com
carrefour|Carrefour|carrefour.com
chevron|Chevron|chevron.com
cisco systems|Cisco|cisco.com
coca-cola|Coca-Cola|coca-colacompany.com
cognizant|Cognizant|cognizant.com
commerzbank|Commerzbank|commerzbank.com
continental ag|Continental|continental.com
credit agricole|Crédit Agricole|credit-agricole.com
daimler|Mercedes-Benz|mercedes-benz.com
danone|Danone|danone.com
decathlon|Decathlon|decathlon.com
dell technologies|Dell|dell.com
deloitte|Deloitte|deloitte.com
deutsche bahn|Deutsche Bahn|deutschebahn.com
deutsche bank|Deutsche Bank|db.com
deutsche post|DHL Group|dhl.com
electronic arts|Electronic Arts|ea.com
ericsson|Ericsson|ericsson.com
ernst & young|EY|ey.com
exelon|Exelon|exeloncorp.com
expedia|Expedia|expedia.com
fannie mae|Fannie Mae|fanniemae.com
fidelity investments|Fidelity|fidelity.com
ford motor|Ford|ford.com
general electric|GE|ge.com
general motors|General Motors|gm.com
glaxosmithkline|GSK|gsk.com
goldman sachs|Goldman Sachs|goldmansachs.com
halliburton|Halliburton|halliburton.com
heineken|Heineken|theheinekencompany.com
henkel|Henkel|henkel.com
hewlett packard enterprise|HPE|hpe.com
hewlett-packard|HP|hp.com
home depot|The Home Depot|homedepot.com
honeywell|Honeywell|honeywell.com
hsbc|HSBC|hsbc.com
ikea|IKEA|ikea.com
infineon|Infineon|infineon.com
infosys|Infosys|infosys.com
intel corporation|Intel|intel.com
intuit|Intuit|intuit.com
jaguar land rover|Jaguar Land Rover|jaguarlandrover.com
john deere|John Deere|deere.com
johnson & johnson|Johnson & Johnson|jnj.com
johnson controls|Johnson Controls|johnsoncontrols.com
jpmorgan chase|JPMorgan Chase|jpmorganchase.com
kellogg|Kellogg|kellanova.com
kpmg|KPMG|kpmg.com
krones|Krones|krones.com
l'oreal|L'Oréal|loreal.com
lidl|Lidl|lidl.com
lockheed martin|Lockheed Martin|lockheedmartin.com
lowe's|Lowe's|lowes.com
lufthansa|Lufthansa|lufthansa.com
lvmh|LVMH|lvmh.com
marriott|Marriott|marriott.com
mastercard|Mastercard|mastercard.com
mcdonald's|McDonald's|mcdonalds.com
mckinsey|McKinsey|mckinsey.com
mercedes-benz|Mercedes-Benz|mercedes-benz.com
michelin|Michelin|michelin.com
micron technology|Micron|micron.com
mitsubishi|Mitsubishi|mitsubishi.com
moody's|Moody's|moodys.com
morgan stanley|Morgan Stanley|morganstanley.com
nestle|Nestlé|nestle.com
nokia|Nokia|nokia.com
northern trust|Northern Trust|northerntrust.com
northrop grumman|Northrop Grumman|northropgrumman.com
novartis|Novartis|novartis.com
nvidia|NVIDIA|nvidia.com
paypal|PayPal|paypal.com
pepsico|PepsiCo|pepsico.com
peugeot|Peugeot|peugeot.com
pfizer|Pfizer|pfizer.com
philips|Philips|philips.com
porsche|Porsche|porsche.com
pricewaterhousecoopers|PwC|pwc.com
qualcomm|Qualcomm|qualcomm.com
raytheon|RTX|rtx.com
red bull|Red Bull|redbull.com
red hat|Red Hat|redhat.com
renault|Renault|renault.com
robert bosch|Bosch|bosch.com
roche|Roche|roche.com
salesforce|Salesforce|salesforce.com
samsung electronics|Samsung|samsung.com
sanofi|Sanofi|sanofi.com
sap |SAP|sap.com
schneider electric|Schneider Electric|se.com
siemens|Siemens|siemens.com
skanska|Skanska|skanska.com
societe generale|Société Générale|societegenerale.com
spotify|Spotify|spotify.com
starbucks|Starbucks|starbucks.com
state farm|State Farm|statefarm.com
target corporation|Target|target.com
tata consultancy services|TCS|tcs.com
tesla motors|Tesla|tesla.com
texas instruments|Texas Instruments|ti.com
thales|Thales|thalesgroup.com
thermo fisher|Thermo Fisher|thermofisher.com
thyssenkrupp|thyssenkrupp|thyssenkrupp.com
totalenergies|TotalEnergies|totalenergies.com
toyota|Toyota|toyota.com
ubisoft|Ubisoft|ubisoft.com
ubs |UBS|ubs.com
unilever|Unilever|unilever.com
unisys|Unisys|unisys.com
valeo|Valeo|valeo.com
visa inc|Visa|visa.com
vmware|VMware|vmware.com
volkswagen|Volkswagen|volkswagen.com
volvo|Volvo|volvo.com
walmart|Walmart|walmart.com
wells fargo|Wells Fargo|wellsfargo.com
western union|Western Union|westernunion.com
wipro|Wipro|wipro.com
zalando|Zalando|zalando.com
zf friedrichshafen|ZF|zf.com
`
