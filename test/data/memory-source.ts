import type { DataSource } from '../../src/data/datasets/datasets.js'

/** A `DataSource` over files in memory, described as `mem:path`. */
export function memorySource(files: Readonly<Record<string, Uint8Array>>): DataSource {
  const describe = (path: string): string => `mem:${path}`
  const find = (path: string): Uint8Array => {
    const bytes = files[path]
    if (bytes === undefined) throw new Error(`${describe(path)}: file must be readable, got nothing there`)
    return bytes
  }
  return {
    describe,
    exists: async path => Object.hasOwn(files, path),
    read: async path => find(path),
    async open(path) {
      const bytes = find(path)
      return {
        length: bytes.length,
        slice: async (start, end) => bytes.slice(start, end),
        close: async () => {},
      }
    },
    async list(folder) {
      const prefix = folder === '' ? '' : `${folder.replace(/\/$/, '')}/`
      const inside = Object.keys(files).filter(path => path.startsWith(prefix))
      if (inside.length === 0) {
        throw new Error(`${describe(folder)}: folder must be readable, got nothing there`)
      }
      const names = inside.map(path => path.slice(prefix.length).replace(/\/.*/, '/'))
      return [...new Set(names)].sort()
    },
  }
}

/** The bytes of an IDX file: magic number, sizes, then the elements. */
export function idxBytes(magic: number, sizes: readonly number[], elements: Iterable<number>): Uint8Array {
  const data = Uint8Array.from(elements)
  const bytes = new Uint8Array(4 + 4 * sizes.length + data.length)
  const view = new DataView(bytes.buffer)
  for (const [i, word] of [magic, ...sizes].entries()) view.setUint32(4 * i, word)
  bytes.set(data, 4 + 4 * sizes.length)
  return bytes
}
