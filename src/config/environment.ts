/**
 * The only place that looks at the environment; everything else gets what it needs handed in.
 */

export function readEnvironment(): Readonly<Record<string, string | undefined>> {
  return { ...process.env }
}
