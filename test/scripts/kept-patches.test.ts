import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PatchesCurve } from '../../scripts/run/measuring/measured-patches.js'
import { callPmoe, jsonLines } from './run-pmoe.js'

let root: string
let image: string
let run: string
const wasm = ['--backend', 'wasm']
const kept = (count: number) => ['--patches-per-expert', String(count), ...wasm]

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kept-patches-'))
  image = join(root, 'image.png')
  const pixels = Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 37) % 256)
  await sharp(pixels, { raw: { width: 32, height: 32, channels: 3 } }).toFile(image)
  run = join(root, 'run')
  const sizes = ['--samples', '40', '--test-samples', '20', '--epochs', '1', '--seed', '3']
  const asked = ['train', '--dataset', 'digits-patches', '--model', 'two-layer-pmoe', '--out', run]
  expect((await callPmoe([...asked, ...sizes, ...wasm])).code).toBe(0)
})
afterAll(() => rm(root, { recursive: true, force: true }))

test.each([1, 6, 15])('predict, explain and evaluate have experts keep %i patches', async count => {
  const out = join(root, `explained-${count}`)
  const predicted = await callPmoe(['predict', run, image, '--json', ...kept(count)])
  const explained = await callPmoe(['explain', run, image, '--out', out, '--json', ...kept(count)])
  for (const { code, out: text } of [predicted, explained]) {
    expect(code).toBe(0)
    const [{ experts } = {}] = jsonLines(text) as { experts?: { patches: number[] }[] }[]
    expect(experts?.map(({ patches }) => new Set(patches).size)).toEqual(new Array(8).fill(count))
  }
  const evaluated = await callPmoe(['evaluate', run, '--json', ...kept(count)])
  const asTrained = await callPmoe(['evaluate', run, '--json', ...wasm])
  const [measured, trained] = [evaluated, asTrained].map(({ out: text }) => jsonLines(text)[0]!)
  expect(measured!.loss === trained!.loss).toBe(count === 6)
  const [adds, asTrainedAdds] = [measured, trained].map(entry => entry!.multiplyAdds as number)
  expect(Math.sign(adds! - asTrainedAdds!)).toBe(Math.sign(count - 6))
})

test('plan --measure measures accuracy and time over L', async () => {
  const { code, out } = await callPmoe(['plan', run, '--measure', '--json', ...wasm])
  expect(code).toBe(0)
  const [curve] = jsonLines(out) as unknown as PatchesCurve[]
  expect(curve).toMatchObject({ trained: 6, most: 16, testImages: 20, batch: 20, repeats: 7 })
  expect(curve!.points.map(({ patchesPerExpert }) => patchesPerExpert)).toEqual([1, 2, 4, 6, 8, 16])
  for (const { patchesPerExpert, accuracy, milliseconds } of curve!.points) {
    const asked = await callPmoe(['evaluate', run, '--json', ...kept(patchesPerExpert)])
    expect(accuracy).toBe(jsonLines(asked.out)[0]!.accuracy)
    expect(milliseconds.least).toBeLessThanOrEqual(milliseconds.median)
    expect(milliseconds.median).toBeLessThanOrEqual(milliseconds.most)
  }
  const text = await callPmoe(['plan', run, '--measure', ...wasm])
  expect(text.out).toMatch(/6 of 16, as trained +\d+\.\d% +\d+\.\d\d +\d+\.\d\d to \d+\.\d\d/)
})

test('plan --measure draws its curve where it is asked to, and over nothing', async () => {
  const picture = join(root, 'curve.svg')
  const { code } = await callPmoe(['plan', run, '--measure', '--picture', picture, ...wasm])
  expect(code).toBe(0)
  const svg = await readFile(picture, 'utf8')
  for (const text of ['>trained<', '>16<', 'accuracy, %', 'a batch of 20']) expect(svg).toContain(text)
  const again = await callPmoe(['plan', run, '--measure', '--picture', picture, ...wasm])
  expect(again).toMatchObject({
    code: 2,
    err: `pmoe: plan: --picture must not be there yet, got ${picture}\n`,
  })
  const alone = await callPmoe(['plan', run, '--picture', 'new.svg', ...wasm])
  expect(alone.err).toBe('pmoe: plan: --picture must come with --measure, got new.svg alone\n')
})

test('plan --measure needs test images, those of a run', async () => {
  const { code, err } = await callPmoe(['plan', join(run, 'model'), '--measure', ...wasm])
  expect(code).toBe(2)
  expect(err).toBe(
    `pmoe: plan: --measure must be for the folder of a run, got ${join(run, 'model')} (a model has no test images)\n`,
  )
})

test('an expert that keeps all patches leaves none to show', async () => {
  const { code, out } = await callPmoe(['predict', run, image, '--json', ...kept(16)])
  expect(code).toBe(0)
  expect(jsonLines(out)[0]).not.toHaveProperty('grid')
})

test.each(['predict', 'explain', 'evaluate'])(
  '%s refuses more patches than there are, with numbers',
  async command => {
    const images = command === 'evaluate' ? [] : [image]
    const many = await callPmoe([command, run, ...images, ...kept(17)])
    expect(many).toMatchObject({ code: 2, out: '' })
    expect(many.err).toMatch(
      new RegExp(
        `^pmoe: ${command}: --patches-per-expert must be an integer in \\[1, 16\\], got 17 ` +
          '\\(layer logits of two_layer chooses from 16 patches\\)\n$',
      ),
    )
    const none = await callPmoe([command, run, ...images, ...kept(0)])
    expect(none).toMatchObject({ code: 2, out: '' })
    expect(none.err).toContain("argument '0' is invalid")
  },
)
