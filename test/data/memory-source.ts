import type { DataSource } from '../../src/data/datasets.js'

/** A `DataSource` over files in memory, described as `mem:path`. */
export function memorySource(files: Readonly<Record<string, Uint8Array>>): DataSource {
  const describe = (path: string): string => `mem:${path}`
  return {
    describe,
    exists: async path => Object.hasOwn(files, path),
    async read(path) {
      const bytes = files[path]
      if (bytes === undefined) throw new Error(`${describe(path)}: file must be readable, got nothing there`)
      return bytes
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
