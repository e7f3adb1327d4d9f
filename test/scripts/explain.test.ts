import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fileSystem } from '../../src/files/model-files.js'
import { sampleMoEModel } from '../../src/models/sample-moe.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { useTestBackend } from '../backend-under-test.js'
import { callPmoe, jsonLines } from './run-pmoe.js'

let root: string
let model: string
let images: string

beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'explain-'))
  model = join(root, 'model')
  images = join(root, 'images')
  const pmoe = { numExperts: 2, patchesPerExpert: 2, patchSize: 2 }
  await wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1, pmoe, seed: 1 }).save(
    fileSystem(model),
  )
  await mkdir(images)
  for (const [name, width, height] of [
    ['a', 40, 30],
    ['b', 16, 16],
  ] as const) {
    const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 251)
    await sharp(pixels, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(join(images, `${name}.png`))
  }
})
afterAll(() => rm(root, { recursive: true, force: true }))

const wasm = ['--backend', 'wasm']

test('a folder of images becomes pictures, pages and a sheet of the experts', async () => {
  const out = join(root, 'out')
  const { code, out: text, err } = await callPmoe(['explain', model, images, '--out', out, ...wasm])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(text).toMatch(
    /^a\.png: output \d \d+\.\d%; [234] of 4 patches kept; without patch \d it loses -?\d+\.\d%; .*a\.html\n/,
  )
  expect((await readdir(out)).sort()).toEqual([
    'a.html',
    'a.png',
    'b.html',
    'b.png',
    'experts.png',
    'index.html',
  ])
  const page = await readFile(join(out, 'index.html'), 'utf8')
  // 3x3 convolutions over pixels 1, 1, 1, 1, 2 and 2 apart see 17; two neighbours 4 apart together 21, of 16 pixels.
  expect(page).toContain('Patches in the middle are computed from the whole image')
  expect(page).toContain('explained-1')
  const { width, height } = await sharp(join(out, 'experts.png')).metadata()
  expect({ width, height }).toEqual({ width: 12 * 92 + 4, height: 2 * 92 + 4 })
  expect(await readFile(join(out, 'a.html'), 'utf8')).toContain(
    'outputs numbered from 0; --class-names names them',
  )
  const again = await callPmoe(['explain', model, images, '--out', out, ...wasm])
  expect(again).toMatchObject({
    code: 2,
    err: `pmoe: explain: --out must not hold the pictures yet, got ${join(out, 'a.png')} (replace it with --force)\n`,
  })
})

test('as JSON it says what the pictures show', async () => {
  const image = join(images, 'a.png')
  const out = join(root, 'json')
  const { code, out: text } = await callPmoe([
    'explain',
    model,
    image,
    '--json',
    '--no-sensitivity',
    '--out',
    out,
    ...wasm,
  ])
  expect(code).toBe(0)
  const [line, ...more] = jsonLines(text)
  expect(more).toEqual([])
  expect(line).toMatchObject({ image, name: 'a.png', grid: [2, 2] })
  expect(line).not.toHaveProperty('sensitivity')
  expect(line?.experts).toHaveLength(2)
  expect((await readdir(out)).sort()).toEqual(['a.html', 'a.png'])
})

test('explains images of the same names, and all but those that cannot be read', async () => {
  const [copy, out] = [join(root, 'copy'), join(root, 'same-names')]
  await mkdir(join(copy, 'deeper'), { recursive: true })
  await sharp(join(images, 'a.png')).toFile(join(copy, 'deeper', 'a.png'))
  await sharp(join(images, 'a.png')).gif().toFile(join(copy, 'b.gif'))
  await sharp(join(images, 'a.png')).toFile(join(copy, 'index.png'))
  await writeFile(join(copy, 'broken.jpg'), 'text')
  await writeFile(join(copy, 'old.bmp'), 'BM')
  const nowhere = join(root, 'nowhere.png')
  const words = [model, images, copy, nowhere, '--out', out, '--no-sensitivity', ...wasm]
  const { code, out: text, err } = await callPmoe(['explain', ...words])
  expect(code).toBe(1)
  expect((await readdir(out)).filter(name => name.endsWith('.html')).sort()).toEqual([
    'copy-b.html',
    'copy-index.html',
    'deeper-a.html',
    'images-a.html',
    'images-b.html',
    'index.html',
  ])
  for (const name of ['images-a', 'deeper-a', 'copy-b']) expect(text).toContain(join(out, `${name}.html`))
  expect(err).toBe(
    'Left out, as their kind is not read: 1 .bmp file (convert them to PNG or JPEG), ' +
      `one of them ${join(copy, 'old.bmp')}.\n` +
      'pmoe: 2 of 7 images could not be read:\n' +
      `  ${nowhere}: image must be readable, got nothing there\n` +
      `  ${join(copy, 'broken.jpg')}: file must be an image that decodes to its end, got no image of a known ` +
      'format (4 bytes that begin with 74 65 78 74)\n',
  )
})

test('says what cannot be explained', async () => {
  const call = (...words: string[]) => callPmoe(['explain', ...words, '--out', join(root, 'none'), ...wasm])
  expect((await call(model, join(root, 'no.png'))).err).toMatch(
    /^pmoe: .*no\.png: image must be readable, got nothing there\n$/,
  )
  expect((await call(model, model)).err).toContain(
    `${model}: folder must hold image files, got none among 2 files`,
  )
  expect(await call(root, images)).toMatchObject({
    code: 1,
    err: expect.stringContaining('must be the folder of a run or of a saved model'),
  })
  const flat = join(root, 'flat')
  await tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [4] })] }).save(fileSystem(flat))
  expect(await call(flat, images)).toMatchObject({
    code: 2,
    err: expect.stringContaining('the model must take images of [height, width, 1 or 3], got [4]'),
  })
  const deep = join(root, 'deep')
  await tf.sequential({ layers: [tf.layers.flatten({ inputShape: [4, 4, 4] })] }).save(fileSystem(deep))
  expect(await call(deep, images)).toMatchObject({
    code: 2,
    err: expect.stringContaining('the model must take images of [height, width, 1 or 3], got [4, 4, 4]'),
  })
})

test('of a model that sends whole images to experts it tells which ones', async () => {
  const folder = join(root, 'sample-moe')
  const router = tf.initializers.randomNormal({ stddev: 0.1, seed: 2 })
  const mixture = { numExperts: 3, patchSize: 8, initialScale: 1, routerInitializer: router }
  await sampleMoEModel({ ...mixture, inputShape: [16, 16, 3], numClasses: 2 }).save(fileSystem(folder))
  const image = join(images, 'a.png')
  const out = join(root, 'samples')
  const text = await callPmoe(['explain', folder, image, '--out', out, ...wasm])
  expect(text.err).toBe('')
  expect(text.out).toMatch(/^a\.png: output [01] [\d.]+%; by expert [123] \(gate 0\.\d+\); .*a\.html\n/)
  const page = await readFile(join(out, 'a.html'), 'utf8')
  expect(page).toContain('The layer logits sends each image to 1 of its 3 experts')
  expect(page).toContain('<caption>Experts of logits</caption>')
  const json = await callPmoe(['explain', folder, image, '--json', '--force', '--out', out, ...wasm])
  const [line] = jsonLines(json.out) as [
    { choices: { experts: number[]; gates: number[]; scores: number[] }[] },
  ]
  const [{ experts, gates, scores }] = line.choices as [(typeof line.choices)[number]]
  expect(experts).toEqual([scores.indexOf(Math.max(...scores))])
  expect(text.out).toContain(`by expert ${experts[0]! + 1} (gate ${gates[0]!.toPrecision(2)})`)
})
