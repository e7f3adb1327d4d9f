import { describe, expect, it } from 'vitest'
import { openCeleba } from '../../../../src/data/datasets/celeba/celeba.js'
import { celebaFiles, faceRows, layoutNames } from '../../celeba-files.js'
import { memorySource } from '../../memory-source.js'

const rows = faceRows(24)
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

describe('openCeleba', () => {
  it.each(layoutNames)('opens the layout %s', async layout => {
    const faces = await openCeleba(memorySource(celebaFiles(rows, layout)), ['Smiling', 'Black_Hair'])
    expect(faces.count).toBe(24)
    expect([...faces.parts]).toEqual(rows.map(({ part }) => part))
    for (const name of ['Smiling', 'Black_Hair'] as const) {
      expect([...faces.attributes[name]]).toEqual(rows.map(({ has }) => (has.includes(name) ? 1 : -1)))
    }
    expect(text(await faces.encoded(5))).toBe('000006.jpg')
    expect(faces.name(5)).toMatch(/^mem:.*img_align_celeba.*\/000006\.jpg$/)
  })

  it('joins tables whose rows are in different orders, and passes over what is no image', async () => {
    const files = celebaFiles(rows)
    const swapped = { ...celebaFiles([...rows].reverse()), ...pick(files, 'list_attr_celeba.txt') }
    const faces = await openCeleba(
      memorySource({
        ...swapped,
        'img_align_celeba/.DS_Store': new Uint8Array(1),
        'img_align_celeba/._000001.jpg': new Uint8Array(1),
        'img_align_celeba/Thumbs.db': new Uint8Array(1),
      }),
      [],
    )
    expect([...faces.parts]).toEqual(rows.map(({ part }) => part))
  })

  it('says what is missing', async () => {
    const files = celebaFiles(rows)
    await expect(openCeleba(memorySource({ readme: new Uint8Array(1) }), [])).rejects.toThrow(
      new Error(
        'mem:: folder must hold CelebA, got no list_attr_celeba.txt or .csv, no list_eval_partition.txt or .csv, ' +
          'no images in img_align_celeba or img_align_celeba.zip',
      ),
    )
    const nested = Object.fromEntries(Object.entries(files).map(([path, bytes]) => [`CelebA/${path}`, bytes]))
    await expect(openCeleba(memorySource(without(nested, /partition/)), [])).rejects.toThrow(
      new Error('mem:CelebA/: folder must hold CelebA, got no list_eval_partition.txt or .csv'),
    )
    await expect(openCeleba(memorySource(without(files, /jpg$/)), [])).rejects.toThrow(
      new Error('mem:: folder must hold CelebA, got no images in img_align_celeba or img_align_celeba.zip'),
    )
  })

  it('refuses rows without images', async () => {
    const files = without(celebaFiles(rows), /00000[57]\.jpg/)
    await expect(openCeleba(memorySource(files), [])).rejects.toThrow(
      new RangeError(
        'mem:list_attr_celeba.txt: images must have their file in mem:img_align_celeba, got 2 of 24 without ' +
          '(first 000005.jpg, line 7)',
      ),
    )
  })

  it('refuses images without rows', async () => {
    const files = { ...celebaFiles(rows), 'img_align_celeba/more.png': new Uint8Array(1) }
    await expect(openCeleba(memorySource(files), [])).rejects.toThrow(
      new RangeError(
        'mem:img_align_celeba: images must have their row in mem:list_attr_celeba.txt, got 1 of 25 without ' +
          '(first more.png)',
      ),
    )
  })

  it('refuses tables of different images', async () => {
    const files = celebaFiles(rows)
    const fewer = celebaFiles(rows.slice(1))
    const inParts = { ...files, ...pick(fewer, 'list_eval_partition.txt') }
    await expect(openCeleba(memorySource(inParts), [])).rejects.toThrow(
      new RangeError(
        'mem:list_attr_celeba.txt: images must have their row in mem:list_eval_partition.txt, ' +
          'got 1 of 24 without (first 000001.jpg, line 3)',
      ),
    )
    const inAttributes = { ...files, ...pick(fewer, 'list_attr_celeba.txt') }
    await expect(openCeleba(memorySource(inAttributes), [])).rejects.toThrow(
      new RangeError(
        'mem:list_eval_partition.txt: images must have their row in mem:list_attr_celeba.txt, ' +
          'got 1 of 24 without (first 000001.jpg, line 1)',
      ),
    )
  })
})

type Files = Record<string, Uint8Array>

function without(files: Files, pattern: RegExp): Files {
  return Object.fromEntries(Object.entries(files).filter(([path]) => !pattern.test(path)))
}

function pick(files: Files, path: string): Files {
  return { [path]: files[path] as Uint8Array }
}
