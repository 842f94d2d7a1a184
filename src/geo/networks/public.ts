/** Universities with the networks that connect them, and governments. Numbers, name, domain. */

export const educationNetworks = `
4538|CERNET|edu.cn
7497|CNIC CAS|cnic.cn
2907|SINET|nii.ac.jp
2500|WIDE Project|wide.ad.jp
1659|TANet|edu.tw
680|DFN|dfn.de
553|BelWü|belwue.de
12816|Leibniz-Rechenzentrum|lrz.de
786|Jisc|jisc.ac.uk
1103 1101 1102|SURF|surf.nl
559|SWITCH|switch.ch
2200|RENATER|renater.fr
137|GARR|garr.it
766|RedIRIS|rediris.es
1930|FCCN|fccn.pt
1213|HEAnet|heanet.ie
2611|BELNET|belnet.be
2852|CESNET|cesnet.cz
1955|KIFÜ|kifu.hu
2603|NORDUnet|nordu.net
1653|SUNET|sunet.se
1741|FUNET|csc.fi
224|Sikt|sikt.no
1835|DeiC|deic.dk
8501|PIONIER|pionier.net.pl
5408|GRNET|grnet.gr
8517|ULAKNET|ulakbim.gov.tr
378|IUCC|iucc.ac.il
2018|TENET|tenet.ac.za
7575|AARNet|aarnet.edu.au
38022|REANNZ|reannz.co.nz
1237|KREONET|kreonet.net
9488|Seoul National University|snu.ac.kr
11537 11164|Internet2|internet2.edu
293|ESnet|es.net
2152 2153|CENIC|cenic.org
81|MCNC|mcnc.org
600|OARnet|oar.net
210|UETN|uetn.org
376|RISQ|risq.quebec
6509|CANARIE|canarie.ca
1916|RNP|rnp.br
3|MIT|mit.edu
29|Yale University|yale.edu
32|Stanford University|stanford.edu
9|Carnegie Mellon University|cmu.edu
25|UC Berkeley|berkeley.edu
7377|UC San Diego|ucsd.edu
52|UCLA|ucla.edu
38 698|University of Illinois|illinois.edu
59|University of Wisconsin|wisc.edu
73|University of Washington|washington.edu
88|Princeton University|princeton.edu
111|Boston University|bu.edu
26|Cornell University|cornell.edu
36375|University of Michigan|umich.edu
217 57|University of Minnesota|umn.edu
31|Caltech|caltech.edu
55|University of Pennsylvania|upenn.edu
14|Columbia University|columbia.edu
12|New York University|nyu.edu
2637|Georgia Tech|gatech.edu
17|Purdue University|purdue.edu
18|University of Texas|utexas.edu
3479|University System of Georgia|usg.edu
3999|Penn State|psu.edu
239|University of Toronto|utoronto.ca
271|UBC|ubc.ca
513|CERN|cern.ch
`

export const governmentNetworks = `
749 721 367 306 5972 27064 1540 4010 668 56 22 1733 5180|US Department of Defense|defense.gov
203665|UK Ministry of Defence|gov.uk
37937|China eGovNet|gov.cn
4155|US Department of Agriculture|usda.gov
5774|US Postal Service|usps.com
1761|Texas DIR|dir.texas.gov
15147|US Department of Homeland Security|dhs.gov
3527|National Institutes of Health|nih.gov
270|NASA|nasa.gov
1226|California Department of Technology|ca.gov
22284|US Department of the Interior|doi.gov
3633|Province of British Columbia|gov.bc.ca
`
