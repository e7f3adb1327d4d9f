import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type * as tf from '@tensorflow/tfjs'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readImage } from '../../src/files/images/image-files.js'
import { predictProbabilities } from '../../src/train/evaluate.js'
import { useTestBackend } from '../backend-under-test.js'
import { startProcess } from '../child-processes.js'
import { smallModel } from './small-model.js'

const project = fileURLToPath(new URL('../..', import.meta.url))
/** Beside the packages that the example imports. */
const bundled = join(project, 'node_modules', '.cache', `server-${process.pid}.mjs`)

let address: string
let root: string
let model: tf.LayersModel
let images: string[]

beforeAll(async () => {
  await useTestBackend()
  const small = await smallModel()
  root = small.root
  model = small.model
  images = small.images
  await build({
    entryPoints: [join(project, 'examples', 'server.mjs')],
    outfile: bundled,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    // What the package says of side effects is of its compiled files.
    ignoreAnnotations: true,
    alias: { 'patch-moe/node': join(project, 'src', 'node.ts') },
  })
  const server = startProcess(process.execPath, [bundled, small.folder, '0'])
  address = (await server.line(/^Listening on /)).replace('Listening on ', '')
})

afterAll(async () => {
  await rm(bundled, { force: true })
  if (root) await rm(root, { recursive: true, force: true })
})

const post = (body: Uint8Array) => fetch(address, { method: 'POST', body: new Uint8Array(body) })

describe('the HTTP server of the examples', () => {
  test('says of images that come together what the model says of each', async () => {
    const files = await Promise.all(images.map(path => readFile(path)))
    const answers = await Promise.all(files.map(async file => (await post(file)).json()))
    const pixels = await Promise.all(images.map(path => readImage(path, [16, 16, 3])))
    const rows = await predictProbabilities(model, new Uint8Array(Buffer.concat(pixels)), [16, 16, 3])
    answers.forEach((answer, i) => {
      const row = rows[i] as Float32Array
      const best = row.indexOf(Math.max(...row))
      expect(answer).toMatchObject({ class: ['red', 'green', 'blue'][best] })
      ;[...row].forEach((value, j) => {
        expect((answer as { probabilities: number[] }).probabilities[j]).toBeCloseTo(value, 4)
      })
    })
  })

  test('refuses what is no image, too long, or not posted, and goes on', async () => {
    const text = await post(new TextEncoder().encode('not an image'))
    expect(text.status).toBe(400)
    expect(await text.json()).toEqual({ error: expect.stringMatching(/^image: file must be/) })
    expect((await fetch(address)).status).toBe(405)
    const long = await post(new Uint8Array(10 * 2 ** 20 + 1)).then(
      ({ status }) => status,
      // The server may close before the rest of the body is sent.
      () => 413,
    )
    expect(long).toBe(413)
    expect((await post(await readFile(images[0] as string))).status).toBe(200)
  })
})
