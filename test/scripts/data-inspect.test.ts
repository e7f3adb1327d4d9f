import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callPmoe } from './run-pmoe.js'

let dir: string
let photos: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pmoe-inspect-'))
  photos = join(dir, 'photos')
  const counts = { cat: 10, dog: 5 }
  for (const [name, count] of Object.entries(counts)) {
    await mkdir(join(photos, name), { recursive: true })
    for (let i = 0; i < count; i++) {
      const background = name === 'cat' ? '#c00000' : '#0000c0'
      const image = sharp({ create: { width: 40 + i, height: 30, channels: 3, background } })
      await image.png().toFile(join(photos, name, `${i}.png`))
    }
  }
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const inspect = (...words: string[]) => callPmoe(['data', 'inspect', ...words])

/** The size of a sheet and the colours of some of its pixels. */
async function sheetPixels(path: string, ...places: [x: number, y: number][]) {
  const { data, info } = await sharp(path).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const at = ([x, y]: [number, number]) => [
    ...data.subarray(3 * (y * info.width + x), 3 * (y * info.width + x) + 3),
  ]
  return { width: info.width, height: info.height, pixels: places.map(at) }
}

/** How many pixels of a sheet have the colour of outlines. */
async function outlinedPixels(path: string): Promise<number> {
  const { data, info } = await sharp(path).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  let outlined = 0
  for (let i = 0; i < data.length; i += info.channels) {
    if (data[i] === 0 && data[i + 1] === 0xc2 && data[i + 2] === 0xff) outlined++
  }
  return outlined
}

describe('pmoe data inspect', () => {
  test('knows a folder of images by itself: counts, balance, sizes, and a sheet of each class', async () => {
    const sheet = join(dir, 'photos.png')
    const { code, out, err } = await inspect(photos, '--out', sheet)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    // A fifth of each class is kept for testing.
    expect(out).toContain(`image-folder in ${photos}\n12 training and 3 test images, 64x64x3, 2 classes`)
    expect(out).toMatch(/cat +8 +66\.7% +2 +66\.7%\ndog +4 +33\.3% +1 +33\.3%/)
    expect(out).toContain('Training classes have between 4 and 8 images, 2.00 times as many.')
    expect(out).toMatch(/Image files \(height x width, 15 looked at\): 30x4\d to 30x4\d, median 30x4\d/)
    expect(out).toContain(`Contact sheet of 12 training images: ${sheet}`)
    // Eight cats in the first row, four dogs in the second.
    const { pixels } = await sheetPixels(sheet, [20, 60], [20, 60 + 159])
    expect(pixels).toEqual([
      [192, 0, 0],
      [0, 0, 192],
    ])
  })

  test('shows images as training sees them: a row each, as it is and in seven epochs', async () => {
    const sheet = join(dir, 'augmented.png')
    // Red and blue with exchanged channels, at any hue; the rows are those of the first images.
    const { code, out, err } = await inspect(photos, '--jitter', 'hue=0.5', '--blur', '0', '--out', sheet)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain(
      `Sheet of 6 training images, each as it is and in seven epochs (--jitter hue=0.5): ${sheet}`,
    )
    const { pixels, width } = await sheetPixels(sheet, [20, 60], [20 + 140, 60], [20 + 7 * 140, 60])
    expect(width).toBe(12 + 8 * 140)
    const [asItIs, first, last] = pixels as [number[], number[], number[]]
    expect(asItIs).toEqual([192, 0, 0])
    for (const turned of [first, last]) {
      expect(turned).not.toEqual(asItIs)
      expect([Math.max(...turned), Math.min(...turned)]).toEqual([192, 0])
    }
    const json = JSON.parse(
      (await inspect(photos, '--augment', 'light', '--no-flip', '--no-sheet', '--json')).out,
    ) as object
    expect(json).toMatchObject({
      augmentation: { randomCrop: 0.6, flip: false, jitter: { brightness: 0.2 }, seed: 1 },
    })
    expect(json).not.toHaveProperty('sheet')
  })

  test('names the other label of mixed images, and refuses what images cannot have', async () => {
    const sheet = join(dir, 'mixed.png')
    const mixed = await inspect(photos, '--mixup', '1', '--out', sheet)
    expect(mixed.code).toBe(0)
    expect((await sheetPixels(sheet)).width).toBe(12 + 8 * 140)
    const refused = await inspect(photos, '--pad-crop', '64', '--out', join(dir, 'none.png'))
    expect(refused).toMatchObject({ code: 2 })
    expect(refused.err).toContain('augmented: --pad-crop must be an integer in [0, 63], got 64')
    const floats = await inspect('--dataset', 'theory-clusters', '--grey', '1')
    expect(floats).toMatchObject({ code: 2 })
    expect(floats.err).toContain(
      '--grey must be used with pixels, got theory-clusters, whose values are floats',
    )
  })

  test('outlines the true patch of composites and counts where it is', async () => {
    const sheet = join(dir, 'digits.png')
    const words = ['--dataset', 'digits-patches', '--samples', '64', '--test-samples', '8', '--out', sheet]
    const json = await inspect(...words, '--json')
    expect(json.code).toBe(0)
    const found = JSON.parse(json.out) as {
      train: { count: number; classes: object; cells: number[]; trueCells: number[] }
      sheet: { images: number; unreadable: string[] }
    }
    expect(found).toMatchObject({
      dataset: 'digits-patches',
      shape: [32, 32, 1],
      train: { count: 64, classes: { 0: 32, 1: 32 }, cells: [4, 4] },
      test: { count: 8 },
      sheet: { path: sheet, images: 48, unreadable: [] },
    })
    expect(found.train.trueCells).toHaveLength(16)
    expect(found.train.trueCells.reduce((sum, count) => sum + count, 0)).toBe(64)
    const text = await inspect(...words)
    const rows = text.out.split('cell that shows the class (4x4):\n')[1]?.split('\n').slice(0, 4) ?? []
    expect(rows.flatMap(row => row.trim().split(/ +/).map(Number))).toEqual(found.train.trueCells)
    // 48 squares of 24 pixels a side, a line of 2: at least the inner part of each line.
    expect(await outlinedPixels(sheet)).toBeGreaterThan(48 * 4 * 22)
  })

  test.each(['fashion-quadrants', 'fashion-noise'])(
    'a prepared folder of %s shows the same images and outlines as what it was prepared from',
    async name => {
      const prepared = join(dir, `prepared-${name}`)
      const samples = ['--samples', '40', '--test-samples', '8', '--seed', '5']
      expect((await callPmoe(['data', 'prepare', name, ...samples, '--out', prepared])).code).toBe(0)
      const [before, after] = [join(dir, 'before.png'), join(dir, 'after.png')]
      const raw = JSON.parse((await inspect('--dataset', name, ...samples, '--out', before, '--json')).out)
      const stored = JSON.parse((await inspect(prepared, '--out', after, '--json')).out)
      expect(stored.train).toEqual(raw.train)
      expect(stored.test).toEqual(raw.test)
      expect(stored.place).toMatch(/^.*prepared-.*, prepared from .*fashion-mini$/)
      const pixels = (path: string) => sharp(path).raw().toBuffer()
      expect((await pixels(after)).equals(await pixels(before))).toBe(true)
      // 40 squares of 16x16 pixels, thrice as large, a line of 2: at least the inner part of each of their four sides.
      expect(await outlinedPixels(after)).toBeGreaterThan(40 * 4 * 46)
    },
  )

  test('shows what decodes, names what does not, and gives up where nothing does', async () => {
    const damaged = join(dir, 'damaged')
    for (const name of ['a', 'b']) {
      await mkdir(join(damaged, name), { recursive: true })
      for (let i = 0; i < 3; i++) await writeFile(join(damaged, name, `${i}.png`), 'no image')
    }
    const sheet = join(dir, 'damaged.png')
    const none = await inspect(damaged, '--out', sheet)
    expect(none.code).toBe(1)
    expect(none.err).toContain(
      `pmoe: ${sheet}: contact sheet must show an image, got none that decodes: ${damaged}`,
    )
    expect((await readdir(dir)).filter(name => name === 'damaged.png')).toEqual([])
    for (let i = 0; i < 3; i++) {
      const image = sharp({ create: { width: 9, height: 9, channels: 3, background: '#123456' } })
      await image.png().toFile(join(damaged, 'a', `${i}.png`))
    }
    const some = await inspect(damaged, '--out', sheet)
    expect(some.code).toBe(0)
    expect(some.out).toMatch(
      /Could not be read: 3 images\n {2}.*b\/0\.png: .*\n {2}.*b\/1\.png: [\s\S]*Contact sheet of 2 training images: .*damaged\.png\n$/,
    )
    expect((await inspect(damaged, '--no-sheet')).out).not.toContain('Contact sheet')
  })

  test.each([
    [[], 'pmoe: data inspect: a folder or --dataset must be given, got neither\n'],
    [['x', '--data', 'y'], 'pmoe: data inspect: --data must be left out with a folder, got x and y\n'],
    [['--dataset', 'cifar10'], 'pmoe: data inspect: --data must name the folder of cifar10, got none (see '],
    [['--dataset', 'cats'], "option '--dataset <name>' argument 'cats' is invalid"],
    [
      ['--dataset', 'fashion-quadrants', '--grid-side', '3'],
      '--grid-side must be used with digits-patches, mnist-patches, ',
    ],
    [
      ['samples/digits8'],
      'pmoe: data inspect: --dataset must say what to make of samples/digits8, got none where ',
    ],
    [
      ['src'],
      'pmoe: data inspect: src must be a prepared folder or hold a dataset, got no files of a known format',
    ],
  ])('%j is a mistake in the call', async (words, message) => {
    const { code, out, err } = await inspect(...words)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(message)
  })
})
