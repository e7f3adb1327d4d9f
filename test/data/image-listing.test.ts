import { describe, expect, it } from 'vitest'
import type { DataSource } from '../../src/data/data-source.js'
import { listFolders, listImages } from '../../src/data/image-listing.js'
import { memorySource } from './memory-source.js'

const none = new Uint8Array(0)
const source = memorySource({
  'a.jpg': none,
  'b/c.JPEG': none,
  'b/d/e.Tiff': none,
  'b/notes.txt': none,
  'b/.f.png': none,
  '.g/h.png': none,
  '__MACOSX/i.png': none,
  'j.svg': none,
})

describe('listImages', () => {
  it('finds image files at any depth and counts the others', async () => {
    expect(await listImages(source, '')).toEqual({ paths: ['a.jpg', 'b/c.JPEG', 'b/d/e.Tiff'], ignored: 3 })
    expect(await listImages(source, 'b')).toEqual({ paths: ['b/c.JPEG', 'b/d/e.Tiff'], ignored: 2 })
  })

  it('finds folders but for hidden ones', async () => {
    expect(await listFolders(source, '')).toEqual(['b'])
    expect(await listFolders(source, 'b')).toEqual(['d'])
  })

  it('stops where folders contain themselves', async () => {
    const endless: DataSource = { ...source, list: async () => ['in/'] }
    await expect(listImages(endless, '')).rejects.toThrow(
      /^mem:in\/in.*: folders must be at most 32 deep, got 33 \(does a link lead back\?\)$/,
    )
  })
})
