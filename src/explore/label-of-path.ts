/**
 * The class that the path of an image tells: that of the nearest folder above it which is named as a class; names may differ in
 * case and in how letters are composed.
 *
 * @param path with slashes or backslashes between its parts
 */
export function labelOfPath(path: string, classNames: readonly string[]): string | undefined {
  const byName = new Map(classNames.map(name => [folded(name), name]))
  const folders = path.split(/[\\/]/).slice(0, -1).reverse()
  return folders.map(folder => byName.get(folded(folder))).find(name => name !== undefined)
}

function folded(name: string): string {
  return name.normalize('NFC').toLowerCase()
}
