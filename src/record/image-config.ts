/**
 * The config of an image, which says its platform: the media types it is known by, on all sides of the pipeline.
 */

/** OCI image-spec 1.1 "config", and Docker's image manifest version 2, schema 2. */
export const imageConfigTypes: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
])
