import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
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
