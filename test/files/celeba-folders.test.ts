import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { datasetEntry } from '../../src/data/datasets/datasets.js'
import { dataFolder } from '../../src/files/data-folder.js'
import { decodeImage } from '../../src/files/images/image-files.js'
import { zipBytes } from './zip-bytes.js'

const samples = fileURLToPath(new URL('../../samples/drawn-faces-celeba/', import.meta.url))
const attributes = readFileSync(join(samples, 'list_attr_celeba.txt'), 'utf8')
const partition = readFileSync(join(samples, 'list_eval_partition.txt'), 'utf8')
const images = readdirSync(join(samples, 'img_align_celeba'))

/** The samples as CSV, as its distributors write it. */
const [, names = '', ...lines] = attributes.trimEnd().split('\n')
const csv = [names, ...lines].map(
  (line, i) => (i === 0 ? 'image_id,' : '') + line.trim().split(/ +/).join(','),
)

const zipped = (folder: string): Uint8Array =>
  zipBytes(
    images.map((name, i) => ({
      name: folder + name,
      data: readFileSync(join(samples, 'img_align_celeba', name)),
      method: i % 2 === 0 ? 8 : 0,
    })),
  )

const layouts: Readonly<Record<string, (root: string) => void>> = {
  official(root) {
    put(root, 'Anno/list_attr_celeba.txt', attributes.replaceAll('\n', '\r\n'))
    put(root, 'Eval/list_eval_partition.txt', partition)
    cpSync(join(samples, 'img_align_celeba'), join(root, 'Img', 'img_align_celeba'), { recursive: true })
  },
  'official, zipped'(root) {
    put(root, 'Anno/list_attr_celeba.txt', attributes)
    put(root, 'Eval/list_eval_partition.txt', partition)
    put(root, 'Img/img_align_celeba.zip', zipped('img_align_celeba/'))
  },
  flat(root) {
    cpSync(samples, root, { recursive: true })
  },
  'flat, zipped'(root) {
    put(root, 'list_attr_celeba.txt', attributes)
    put(root, 'list_eval_partition.txt', partition)
    put(root, 'img_align_celeba.zip', zipped('img_align_celeba/'))
  },
  csv(root) {
    put(root, 'list_attr_celeba.csv', csv.join('\n'))
    put(root, 'list_eval_partition.csv', `image_id,partition\n${partition.replaceAll(' ', ',')}`)
    const folder = join(root, 'img_align_celeba', 'img_align_celeba')
    cpSync(join(samples, 'img_align_celeba'), folder, { recursive: true })
  },
}

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'pmoe-celeba-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

function put(root: string, path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
}

describe('CelebA on disk', () => {
  const entry = datasetEntry('celeba-multiclass')
  const options = { seed: 4, samples: 16, testSamples: 4, imageSize: [32, 32], decode: decodeImage } as const

  it.each(Object.keys(layouts))('loads the drawn faces in the layout %s', async layout => {
    const root = join(dir, layout)
    mkdirSync(root, { recursive: true })
    layouts[layout]?.(root)
    const source = dataFolder(root)
    const { train, test } = await entry.load(source, options)
    expect([train.count, test.count, train.shape]).toEqual([16, 4, [32, 32, 3]])
    const catalog = await entry.catalog?.(source, options)
    for (let position = 0; position < 16; position++) {
      const name = catalog?.train.name(position).slice(-10) ?? ''
      const row = lines[images.indexOf(name)]?.trim().split(/ +/) ?? []
      const has = (attribute: string) => row[1 + names.trim().split(' ').indexOf(attribute)] === '1'
      expect(train.labels[position]).toBe(2 * Number(has('Smiling')) + Number(has('Eyeglasses')))
      const file = readFileSync(join(samples, 'img_align_celeba', name))
      const pixels = await decodeImage(file, { shape: [32, 32, 3] }, name)
      const loaded = train.images.subarray(position * 3072, (position + 1) * 3072)
      expect(Buffer.compare(loaded as Uint8Array, pixels)).toBe(0)
    }
  })

  it('takes an archive of everything for a folder', async () => {
    const path = join(dir, 'celeba.zip')
    const text = (content: string) => new TextEncoder().encode(content)
    const tables = [
      { name: 'celeba/list_attr_celeba.txt', data: text(attributes), method: 8 },
      { name: 'celeba/list_eval_partition.txt', data: text(partition), method: 8 },
    ]
    const faces = images.map(name => ({
      name: `celeba/img_align_celeba/${name}`,
      data: readFileSync(join(samples, 'img_align_celeba', name)),
    }))
    writeFileSync(path, zipBytes([...tables, ...faces]))
    const { train } = await entry.load(dataFolder(path), options)
    expect(train.count).toBe(16)
  })

  it('names the image that cannot be decoded, in its archive', async () => {
    const root = join(dir, 'broken')
    put(root, 'list_attr_celeba.txt', attributes)
    put(root, 'list_eval_partition.txt', partition)
    const broken = images.map(name => ({ name, data: new TextEncoder().encode(`no image ${name}`) }))
    put(root, 'img_align_celeba.zip', zipBytes(broken))
    await expect(entry.load(dataFolder(root), options)).rejects.toThrow(
      new RegExp(
        `^celeba-multiclass: unreadable images must be at most 1 .* got 2 of 20:\\n  ${join(root, 'img_align_celeba.zip')}/0000\\d\\d\\.jpg: `,
      ),
    )
  })
})
