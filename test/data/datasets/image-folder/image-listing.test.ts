import { describe, expect, it } from 'vitest'
import type { DataSource } from '../../../../src/data/data-source.js'
import { listFolders, listImages } from '../../../../src/data/datasets/image-folder/image-listing.js'
import { memorySource } from '../../memory-source.js'

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
    const inB = { paths: ['b/c.JPEG', 'b/d/e.Tiff'], ignored: 2, unsupported: [], links: [] }
    expect(await listImages(source, 'b')).toEqual(inB)
    const all = { paths: ['a.jpg', ...inB.paths], ignored: 3, unsupported: ['j.svg'], links: [] }
    expect(await listImages(source, '')).toEqual(all)
  })

  it('names images that are not read, by their endings or without one, and no other files', async () => {
    const names = [
      '1.BMP',
      '2.heic',
      '3.HEIF',
      '4.cr2',
      'IMG_0005',
      'Thumbs.db',
      '.DS_Store',
      'README',
      'x.csv',
    ]
    const files = Object.fromEntries(names.map(name => [`c/${name}`, none]))
    const { unsupported, ignored } = await listImages(memorySource(files), 'c')
    expect(unsupported).toEqual(['c/1.BMP', 'c/2.heic', 'c/3.HEIF', 'c/4.cr2', 'c/IMG_0005'])
    expect(ignored).toBe(names.length)
  })

  it('names links that cannot be followed', async () => {
    const linked: DataSource = {
      ...source,
      strayLinks: async folder =>
        folder === 'b' ? [{ name: 'x.png', why: 'a link that leads nowhere' }] : [],
    }
    expect((await listImages(linked, '')).links).toEqual(['b/x.png (a link that leads nowhere)'])
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
