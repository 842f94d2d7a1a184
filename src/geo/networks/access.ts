/** Networks that sell access: what comes from them says nothing of who is behind it. Numbers, name, domain. */

export const accessNetworks = `
7018 6389 7132 20057 14654 2386 2685 2686 4466 6431|AT&T|att.com
701 702 703 2828 3371 46690 1321 12079|Verizon Business|verizon.com
7922 7015 7016 7725 13367 20214 22909 33287 33491 33650 33651 33652 33657 33659 33660 33662 33668|Comcast|comcast.com
20115 10796 20001 11427 33363 11426 12271 11351 7843 33588|Charter|charter.com
22773|Cox Communications|cox.com
209 3356 3549 3561 22561|Lumen|lumen.com
174|Cogent|cogentco.com
5650 3593|Frontier|frontier.com
7029|Windstream|windstream.com
6128 19108|Altice USA|alticeusa.com
6079 12083 7459|Astound|astound.com
11404|Wave Broadband|astound.com
30036|Mediacom|mediacomcable.com
11492|Cable One|cableone.net
4181|TDS Telecom|tdstelecom.com
16591|Google Fiber|fiber.google.com
14593|Starlink|starlink.com
7155|Viasat|viasat.com
6939|Hurricane Electric|he.net
6461|Zayo|zayo.com
2914|NTT|ntt.com
3257|GTT|gtt.net
1299 3301 1759 25400 8764|Telia|telia.com
6453 4755|Tata Communications|tatacommunications.com
3491 4760|PCCW|pccw.com
237|Merit Network|merit.edu
14671|FairPoint|consolidated.com
577|Bell Canada|bell.ca
812|Rogers|rogers.com
6327|Shaw|shaw.ca
852|TELUS|telus.com
5769|Videotron|videotron.com
7992 11776|Cogeco|cogeco.ca
8151|Telmex|telmex.com
13999|Megacable|megacable.com.mx
6503|Axtel|axtel.mx
28573 4230 22085|Claro Brasil|claro.com.br
26599 18881 27699 10429|Vivo|vivo.com.br
26615|TIM Brasil|tim.com.br
8167 7738|V.tal|vtal.com
7303|Telecom Argentina|telecom.com.ar
22927|Telefónica Argentina|telefonica.com.ar
7418|Movistar Chile|movistar.cl
22047|VTR|vtr.com
26611 10620 6535|Claro Colombia|claro.com.co
3816|Movistar Colombia|movistar.co
13489|EPM|une.com.co
19429|ETB|etb.com
8048|CANTV|cantv.com.ve
6147|Movistar Perú|movistar.com.pe
6057|ANTEL|antel.com.uy
11830|ICE|grupoice.com
6400|Claro Dominicana|claro.com.do
8374|Polkomtel|plus.pl
12400|Partner|partner.co.il
19901|Brightspeed|brightspeed.com
15704|XTRA Telecom|masmovil.es
3320|Deutsche Telekom|telekom.de
6878|T-Systems|t-systems.com
3209 31334|Vodafone Deutschland|vodafone.de
6805|Telefónica Deutschland|telefonica.de
8881|1&1 Versatel|1und1.de
9145|EWE TEL|ewe.de
20676|Plusnet|plusnet.de
15943|wilhelm.tel|wilhelm-tel.de
33984|Surfplanet|surfplanet.de
3215 5511 51964|Orange|orange.com
12322|Free|free.fr
15557|SFR|sfr.fr
5410 12844|Bouygues Telecom|bouyguestelecom.fr
2856 5400 6871|BT|bt.com
5089|Virgin Media|virginmedia.com
5607|Sky UK|sky.com
13285|TalkTalk|talktalk.co.uk
5378 1273|Vodafone UK|vodafone.co.uk
12576|EE|ee.co.uk
5466|eir|eir.ie
6830|Liberty Global|libertyglobal.com
3269 16232|TIM|telecomitalia.it
30722|Vodafone Italia|vodafone.it
1267 24608|WindTre|windtre.it
12874|Fastweb|fastweb.it
3352|Telefónica España|telefonica.es
12479 12715|Orange España|orange.es
12430 6739|Vodafone España|vodafone.es
3243|MEO|meo.pt
2860|NOS|nos.pt
12353|Vodafone Portugal|vodafone.pt
1136 8737|KPN|kpn.com
33915|VodafoneZiggo|vodafoneziggo.nl
9143|Ziggo|ziggo.nl
50266|Odido|odido.nl
5432|Proximus|proximus.be
6848|Telenet|telenet.be
47377|Orange Belgium|orange.be
3303|Swisscom|swisscom.ch
6730|Sunrise|sunrise.ch
8447|A1 Telekom Austria|a1.net
1257|Tele2|tele2.com
44034|Tre|tre.se
29518|Bredband2|bredband2.com
12552|IP-Only|ip-only.se
2119 8434 9158|Telenor|telenor.com
2116|GlobalConnect|globalconnect.no
29695|Lyse|lyse.no
3292|TDC|tdc.dk
16086|DNA|dna.fi
5617|Orange Polska|orange.pl
12741|Netia|netia.pl
9141|Play|play.pl
5610|O2 Czech Republic|o2.cz
16019|Vodafone Czech|vodafone.cz
5483|Magyar Telekom|telekom.hu
21334|One Hungary|one.hu
8708|Digi Romania|digi.ro
9050|Orange Romania|orange.ro
5391|Hrvatski Telekom|t.ht.hr
6799|OTE|cosmote.gr
3329|Vodafone Greece|vodafone.gr
9121|Türk Telekom|turktelekom.com.tr
34984|Superonline|superonline.net
12389|Rostelecom|rt.ru
8402 3216|VimpelCom|beeline.ru
9198|Kazakhtelecom|telecom.kz
6697|Beltelecom|beltelecom.by
8452|TE Data|te.eg
36992 24863|Etisalat Egypt|etisalat.eg
6713|Maroc Telecom|iam.ma
36947 327934|Algérie Télécom|algerietelecom.dz
37492|Orange Tunisie|orange.tn
5713 37457|Telkom SA|telkom.co.za
3741 10474|Dimension Data|dimensiondata.com
37100|SEACOM|seacom.com
36937|Liquid|liquid.tech
25019 39891|stc|stc.com.sa
5384|Etisalat|etisalat.ae
15802|du|du.ae
58224|TCI Iran|tci.ir
8551|Bezeq International|bezeqint.net
1680|Cellcom|cellcom.co.il
9829|BSNL|bsnl.co.in
9498|Bharti Airtel|airtel.in
17488|Hathway|hathway.com
9583|Sify|sifytechnologies.com
17557 45595|PTCL|ptcl.com.pk
4134 4812 4811 140292 4847|China Telecom|chinatelecom.com.cn
4837 4808 17816 17621 9929|China Unicom|chinaunicom.com
9394|China TieTong|10086.cn
4766|Korea Telecom|kt.com
9318|SK Broadband|skbroadband.com
17858 3786 9316|LG U+|lguplus.co.kr
2516|KDDI|kddi.com
17676 4725|SoftBank|softbank.jp
4713 2514 9595|NTT Communications|ntt.com
55391 55392|Internet Multifeed|mfeed.ad.jp
2497|IIJ|iij.ad.jp
2527|So-net|so-net.ne.jp
2518|BIGLOBE|biglobe.co.jp
17506 2519|ARTERIA|arteria-net.com
17511|OPTAGE|optage.co.jp
9824 9617|JCOM|jcom.co.jp
4685|Asahi Net|asahi-net.co.jp
3462 17419|HiNet|hinet.net
9924|Taiwan Fixed Network|taiwanmobile.com
4780 9919|Seednet|seed.net.tw
9674|Far EasTone|fetnet.net
9304|HGC|hgc.com.hk
9269|HKBN|hkbn.net
4788|TM|tm.com.my
9506|Singtel|singtel.com
9299|PLDT|pldt.com
7713|Telkom Indonesia|telkom.co.id
45899|VNPT|vnpt.vn
7552|Viettel|viettel.com.vn
18403|FPT Telecom|fpt.vn
17552|True Internet|true.th
23969|TOT|ntplc.co.th
45758|3BB|3bb.co.th
1221 4637|Telstra|telstra.com.au
4804|Optus|optus.com.au
7545 4739|TPG|tpg.com.au
9443|Vocus|vocus.com.au
9500|One New Zealand|one.nz
8220|Colt|colt.net
2647|SITA|sita.aero
20055|Wholesail|wholesail.net
35908|Loud Packet|vpls.com
`

/** The same for phones and modems. */
export const mobileNetworks = `
21928|T-Mobile US|t-mobile.com
6167 22394|Verizon Wireless|verizonwireless.com
9808 56046 56041 56045 24445 24444 56048 56040 56044|China Mobile|10086.cn
55836|Jio|jio.com
45609 24560|Airtel Mobile|airtel.in
9605|NTT DOCOMO|docomo.ne.jp
9644|SK Telecom|sktelecom.com
23693|Telkomsel|telkomsel.com
4761|Indosat|ioh.co.id
37069|Orange Egypt|orange.eg
24835 36935|Vodafone Egypt|vodafone.com.eg
16637 12091|MTN|mtn.co.za
29975|Vodacom|vodacom.co.za
37168|Cell C|cellc.co.za
33771|Safaricom|safaricom.co.ke
36974|MTN Côte d'Ivoire|mtn.ci
36926|Airtel Kenya|airtelkenya.com
37075|Airtel Uganda|airtel.co.ug
30986|Scancom|mtn.com.gh
36998|Zain Sudan|sd.zain.com
197207|MCI Iran|mci.ir
44244|Irancell|irancell.ir
35819|Mobily|mobily.com.sa
16135|Turkcell|turkcell.com.tr
8359|MTS|mts.ru
12714|MegaFon|megafon.ru
15895|Kyivstar|kyivstar.ua
8412|Magenta Telekom|magenta.at
12912|T-Mobile Polska|t-mobile.pl
13036|T-Mobile Czech|t-mobile.cz
51207|Free Mobile|mobile.free.fr
12302|Vodafone Romania|vodafone.ro
133612|Vodafone Australia|vodafone.com.au
27831|Tigo Colombia|tigo.com.co
17421|Chunghwa Mobile|cht.com.tw
36884|Inwi|inwi.ma
36925|Orange Maroc|orange.ma
`
