import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const root = new URL('../samples/', import.meta.url)
const manifest: Record<string, { bytes: number; sha256: string }> = JSON.parse(
  readFileSync(new URL('manifest.json', root), 'utf8'),
)
const unlisted = ['NOTICE.md', 'manifest.json']

describe('samples', () => {
  it('hold every file of their manifest and no other', () => {
    const files = readdirSync(root, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry =>
        `${entry.parentPath}/${entry.name}`.slice(decodeURI(root.pathname).length).replace(/^\//, ''),
      )
    expect(files.filter(file => !unlisted.includes(file)).sort()).toEqual(Object.keys(manifest).sort())
    expect(files).toEqual(expect.arrayContaining(unlisted))
  })

  it.each(Object.entries(manifest))('%s is the file of the manifest, byte for byte', (file, expected) => {
    const bytes = readFileSync(new URL(file, root))
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    expect({ bytes: bytes.length, sha256 }).toEqual(expected)
  })
})
