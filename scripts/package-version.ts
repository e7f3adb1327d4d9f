import { existsSync, readFileSync } from 'node:fs'

/** The version in the manifest of this package, run from the sources or compiled. */
export function packageVersion(): string {
  const places = ['../package.json', '../../package.json'].map(path => new URL(path, import.meta.url))
  const manifest = places.find(place => existsSync(place))
  if (!manifest) throw new Error(`packageVersion: package.json must be in ${places.join(' or ')}, got none`)
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version
}
