/** Networks that rent out machines, and those that carry others' content. Numbers, name, domain. */

export const hostingNetworks = `
16509 14618 8987 7224 62785|Amazon|amazon.com
8075 8068 8069 8070 8071 12076 3598 5761|Microsoft|microsoft.com
15169 396982 19527 36384 36385 36492 139070 139190 395973 43515|Google|google.com
31898 20054 54253|Oracle|oracle.com
36351|IBM Cloud|ibm.com
37963 45102 134963|Alibaba Cloud|alibabacloud.com
45090 132203 132591 133478|Tencent Cloud|tencentcloud.com
55990 136907 63727 265443|Huawei Cloud|huaweicloud.com
137718 150436|Volcano Engine|volcengine.com
38365 55967|Baidu|baidu.com
3842|InMotion Hosting|inmotionhosting.com
43350|NForce|nforce.com
24940 213230 212317|Hetzner|hetzner.com
16276 35540|OVHcloud|ovhcloud.com
14061 393406|DigitalOcean|digitalocean.com
63949|Linode|linode.com
20473|Vultr|vultr.com
12876 29447|Scaleway|scaleway.com
60781 28753 16265 30633 7203 19148 393886 395954 396190 59253 133752|Leaseweb|leaseweb.com
8560 6724 15418|IONOS|ionos.com
51167 40021 141995|Contabo|contabo.com
47583|Hostinger|hostinger.com
9009 212238 60068|M247 and Datacamp|m247.com
36352|HostPapa|hostpapa.com
203020|HostRoyale|hostroyale.com
46606 19871 55293|Newfold Digital|newfold.com
26496 398101|GoDaddy|godaddy.com
33070 27357 19994 15395 12200|Rackspace|rackspace.com
25820|IT7 Networks|it7.net
53667|FranTech|frantech.ca
55286|B2 Net|servermania.com
40676|Psychz|psychz.net
46844|Sharktech|sharktech.net
8100|QuadraNet|quadranet.com
35916|MULTACOM|multacom.com
54290|Hostwinds|hostwinds.com
11878|tzulo|tzulo.com
29802|HIVELOCITY|hivelocity.net
22612|Namecheap|namecheap.com
32244|Liquid Web|liquidweb.com
32613|iWeb|iweb.com
13768|Aptum|aptum.com
54825|Packet|equinix.com
15830 17819 47886 14609|Equinix|equinix.com
17378|TierPoint|tierpoint.com
18450|WebNX|webnx.com
19318|Interserver|interserver.net
19084|ColoUp|coloup.com
20860|iomart|iomart.com
20738 34119|Host Europe|hosteurope.com
21501 34011|GoDaddy EMEA|godaddy.com
25369|Hydra Communications|hydracom.net
29066|velia.net|velia.net
35366 24961 29141|myLoc|myloc.de
197540|netcup|netcup.de
39351|31173 Services|31173.se
42708|GleSYS|glesys.se
43948|GleSYS|glesys.se
44901|BelCloud|belcloud.net
7979|Servers.com|servers.com
47447|23M|23m.com
49367|Seflow|seflow.net
49981|WorldStream|worldstream.nl
50613|Advania|advania.is
50673|Serverius|serverius.net
51852|Private Layer|privatelayer.com
59432|GinerNet|ginernet.com
61317|Hivelocity Europe|hivelocity.net
62240|Clouvider|clouvider.net
63023|GTHost|gthost.com
63199|CDS Global Cloud|cdsglobalcloud.com
64267|Sprious|sprious.com
199524|Gcore|gcore.com
200019|AlexHost|alexhost.com
200651|FlokiNET|flokinet.is
201011|Core-Backbone|core-backbone.com
202422|G-Core Labs|gcore.com
4694|IDC Frontier|idcf.jp
7506|GMO Internet|gmo.jp
9370 7684 9371|SAKURA Internet|sakura.ad.jp
23724|ChinaNet IDC|chinatelecom.com.cn
8426|Claranet|claranet.com
8943|Jump Networks|jump.net.uk
5577|root|root.lu
3223|Voxility|voxility.com
27715|Locaweb|locaweb.com.br
262287|Maxihost|latitude.sh
396356|Latitude.sh|latitude.sh
30860|Virtual Systems|vsys.host
24875|NovoServe|novoserve.com
23470|ReliableSite|reliablesite.net
16125|Cherry Servers|cherryservers.com
14576|Hosting Solution|king-servers.com
62904|Eonix|eonix.net
46562|Performive|performive.com
46475|Limestone Networks|limestonenetworks.com
40065|CNSERVERS|cnservers.com
33387|Nocix|nocix.net
32097|WholeSale Internet|wholesaleinternet.net
26347|DreamHost|dreamhost.com
20454|SECURED SERVERS|phoenixnap.com
20278|Nexeon|nexeon.com
36236|NetActuate|netactuate.com
398493|System In Place|systeminplace.net
13213|UK-2|uk2group.com
12586|GHOSTnet|ghostnet.de
207990|HR-CUSTOMER|hostroyale.com
40509|Fly.io|fly.io
36459|GitHub|github.com
19679|Dropbox|dropbox.com
47764|VK|vk.company
13238 200350|Yandex|yandex.com
`

/** Content delivery, and services that everybody reaches. */
export const contentNetworks = `
13335 209242 14789 132892 395747|Cloudflare|cloudflare.com
20940 16625 31377 35994 18717 12222 21342 21357 32787 34164 43639|Akamai|akamai.com
54113|Fastly|fastly.com
22822|Edgio|edg.io
15133|Edgecast|edg.io
200325|Bunny|bunny.net
30081|CacheFly|cachefly.com
19551|Imperva|imperva.com
53813 22616 62044|Zscaler|zscaler.com
2906 40027 55095|Netflix|netflix.com
32934 54115 63293|Meta|meta.com
`
