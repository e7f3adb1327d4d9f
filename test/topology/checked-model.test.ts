import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fileSystem, loadModelFolder } from '../../src/files/model-files.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { checkedModel } from '../../src/topology/checked-model.js'
import { useTestBackend } from '../backend-under-test.js'

let root: string

beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'checked-model-'))
})
afterAll(() => rm(root, { recursive: true }))

/** A model with a nested model, a layer that is called twice, and a mixture. */
function network(): tf.LayersModel {
  const inner = tf.sequential({
    name: 'inner',
    layers: [tf.layers.dense({ name: 'd', units: 4, inputShape: [4], kernelRegularizer: 'l1l2' })],
  })
  const x = tf.input({ shape: [4, 4, 1], name: 'x' })
  const map = patchMoE({
    name: 'moe',
    filters: 4,
    kernelSize: 1,
    numExperts: 2,
    patchesPerExpert: 2,
    patchSize: 1,
  })
  const pooled = tf.layers.globalAveragePooling2d({ name: 'gap' }).apply(map.apply(x))
  const twice = inner.apply(inner.apply(pooled)) as tf.SymbolicTensor
  const sum = tf.layers.add({ name: 'sum' }).apply([twice, pooled as tf.SymbolicTensor]) as tf.SymbolicTensor
  return tf.model({ inputs: x, outputs: sum, name: 'outer' })
}

type Path = readonly (string | number)[]

/** Where values lie in a JSON value, itself first. */
function paths(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path]
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value)
  return [path, ...keys.flatMap(key => paths((value as never)[key], [...path, key]))]
}

const GONE = Symbol('gone')

function changed(value: unknown, path: Path, to: unknown): unknown {
  const copy = structuredClone(value) as Record<string | number, unknown>
  let at = copy
  for (const key of path.slice(0, -1)) at = at[key] as typeof at
  const last = path.at(-1) as string
  if (to !== GONE) at[last] = to
  else if (Array.isArray(at)) at.splice(Number(last), 1)
  else delete at[last]
  return copy
}

const replacement = fc.oneof(
  fc.constant(GONE),
  fc.constantFrom(
    null,
    true,
    0,
    -1,
    0.5,
    2 ** 31,
    1e18,
    '',
    'x',
    'inner',
    'constructor',
    [],
    {},
    [null],
    [[]],
  ),
  fc.constantFrom(['x', 0, 0], ['sum', 0, 0], [['sum', 0, 0, {}]], [[['moe', 1, 0, {}]]], {
    class_name: 'Dense',
  }),
)

test('a model.json in which one value is another loads, or is refused in a line', async () => {
  const dir = join(root, 'fuzzed')
  await network().save(fileSystem(dir))
  const file = join(dir, 'model.json')
  const valid = JSON.parse(await readFile(file, 'utf8'))
  const at = paths(valid).filter(path => path.length > 0)
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...at), replacement, async (path, to) => {
      await writeFile(file, JSON.stringify(changed(valid, path, to)))
      const message = await loadModelFolder(dir).then(
        model => void model.dispose(),
        (error: Error) => error.message,
      )
      if (message === undefined) return
      expect(message).toMatch(
        /^fileSystem: .+ (must|layer) [^\n]+$|^.+: model must be one that can be built, got: [^\n]+$/,
      )
      expect(message.length).toBeLessThan(700)
    }),
    { numRuns: 200 },
  )
})

type Edit = (config: { layers: { config: Record<string, unknown>; inbound_nodes: unknown[] }[] }) => void

test.each<[string, Edit, string]>([
  [
    'a layer that is not there',
    ({ layers }) => Object.assign(layers[4] ?? {}, { inbound_nodes: [[['lost', 0, 0, {}]]] }),
    'layer "sum" must be given tensors of layers of the model, got "lost" (layers: "x", "moe", "gap", "inner", "sum")',
  ],
  [
    'a circle',
    ({ layers }) => Object.assign(layers[2] ?? {}, { inbound_nodes: [[['sum', 0, 0, {}]]] }),
    'layers must not wait for each other, got "gap" -> "sum" -> "inner" -> "gap"',
  ],
  [
    'a call that is not made',
    ({ layers }) => Object.assign(layers[4] ?? {}, { inbound_nodes: [[['inner', 3, 0, {}]]] }),
    'layer "sum" must be given one of 3 calls of "inner", got number 3',
  ],
  [
    'an output that is not there',
    ({ layers }) => Object.assign(layers[4] ?? {}, { inbound_nodes: [[['inner', 2, 1, {}]]] }),
    'layer "sum" must be given one of 1 outputs of "inner", got number 1',
  ],
  [
    'a call without tensors',
    ({ layers }) => Object.assign(layers[2] ?? {}, { inbound_nodes: [[]] }),
    'layer "gap" must be given at least one tensor in each call, got none',
  ],
  [
    'a name that is not text',
    ({ layers }) => Object.assign(layers[2] ?? {}, { name: 7 }),
    'name of a layer must be text, got 7',
  ],
  [
    'a name twice',
    ({ layers }) => Object.assign(layers[2] ?? {}, { name: 'moe' }),
    'layer names must be unique, got "moe" twice',
  ],
  [
    'more experts than weights',
    ({ layers }) => Object.assign(layers[1]?.config ?? {}, { num_experts: 1e9 }),
    'layer "moe": num_experts must be at most 26, the number of all weights, got 1000000000',
  ],
  [
    'a distribution that has no numbers',
    ({ layers }) =>
      Object.assign(layers[1]?.config ?? {}, {
        kernel_initializer: { class_name: 'TruncatedNormal', config: { stddev: -1 } },
      }),
    'layer "moe": stddev of kernel_initializer must be a number of at least 0, got -1',
  ],
])('%s is named before tfjs is asked', async (name, edit, message) => {
  const dir = join(root, name)
  await network().save(fileSystem(dir))
  const file = join(dir, 'model.json')
  const model = JSON.parse(await readFile(file, 'utf8'))
  edit(model.modelTopology.config)
  await writeFile(file, JSON.stringify(model))
  await expect(loadModelFolder(dir)).rejects.toThrow(`fileSystem: ${file}: ${message}`)
})

test('the calls of a shared layer keep their numbers, whatever the order of the layers', async () => {
  const x = tf.input({ shape: [1], name: 'x' })
  const scaled = (name: string, value: number) =>
    tf.layers.dense({
      name,
      units: 1,
      useBias: false,
      kernelInitializer: tf.initializers.constant({ value }),
    })
  const shared = scaled('shared', 2)
  const first = shared.apply(scaled('late', 3).apply(x)) as tf.SymbolicTensor
  shared.apply(x)
  const model = tf.model({ inputs: x, outputs: [first, shared.getOutputAt(1) as tf.SymbolicTensor] })
  const dir = join(root, 'shared')
  await model.save(fileSystem(dir))
  const file = join(dir, 'model.json')
  const written = JSON.parse(await readFile(file, 'utf8'))
  // tfjs alone would make the call of `x` first, and take it for the call of `late`.
  written.modelTopology.config.layers.sort((a: { name: string }, b: { name: string }) =>
    a.name < b.name ? 1 : -1,
  )
  await writeFile(file, JSON.stringify(written))
  const [late, early] = (await loadModelFolder(dir)).predict(tf.tensor2d([[1]])) as tf.Tensor[]
  expect([late, early].map(y => y?.dataSync()[0])).toEqual([6, 2])
})

test('a graph model is said to be one in less than 500 characters', async () => {
  const dir = join(root, 'graph')
  await mkdir(dir)
  const file = join(dir, 'model.json')
  const node = Array.from({ length: 500 }, (_, i) => ({ name: `n${i}`, op: 'Const' }))
  for (const graph of [{ format: 'graph-model', modelTopology: { node } }, { modelTopology: { node } }]) {
    await writeFile(file, JSON.stringify({ ...graph, weightsManifest: [] }))
    const refused = loadModelFolder(dir).catch((error: Error) => error.message)
    expect(await refused).toMatch(/must be a layers model, got a graph model: .*pmoe import$/)
    expect((await refused)?.toString().length).toBeLessThan(500)
  }
})

test('what is nested without end is refused', async () => {
  const dir = join(root, 'deep')
  await mkdir(dir)
  const deep = `{"modelTopology": {"a": ${'['.repeat(50_000)}${']'.repeat(50_000)}}}`
  await writeFile(join(dir, 'model.json'), deep)
  await expect(loadModelFolder(dir)).rejects.toThrow('must be nested at most 200 deep, got more')
})

test('weights that Keras 3 names by their paths find their layers', async () => {
  const kept = tf.sequential({
    name: 'net',
    layers: [
      tf.layers.depthwiseConv2d({ name: 'dw', kernelSize: 2, inputShape: [4, 4, 1] }),
      tf.layers.flatten({ name: 'flat' }),
      tf.layers.dense({ name: 'head', units: 2 }),
    ],
  })
  const dir = join(root, 'paths')
  await kept.save(fileSystem(dir))
  const file = join(dir, 'model.json')
  const written = JSON.parse(await readFile(file, 'utf8'))
  for (const weight of written.weightsManifest[0].weights) {
    weight.name = `net/${weight.name.replace('depthwise_kernel', 'kernel')}`
  }
  await writeFile(file, JSON.stringify(written))
  const loaded = await loadModelFolder(dir)
  expect(loaded.weights.map(of => [...of.read().dataSync()])).toEqual(
    kept.weights.map(of => [...of.read().dataSync()]),
  )
})

test('a page checks what it loads', async () => {
  const model = tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [3] })] })
  let saved: tf.io.ModelArtifacts = {}
  await model.save(
    tf.io.withSaveHandler(async artifacts => {
      saved = artifacts
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } }
    }),
  )
  const handler = (changes: object) => checkedModel(tf.io.fromMemory({ ...saved, ...changes }), 'page')
  const loaded = await tf.loadLayersModel(handler({}))
  expect([...loaded.weights[0]!.read().dataSync()]).toEqual([...model.weights[0]!.read().dataSync()])
  await expect(tf.loadLayersModel(handler({ weightData: new ArrayBuffer(28) }))).rejects.toThrow(
    'page: weights must hold 32 bytes, got 28',
  )
  await expect(tf.loadLayersModel(handler({ format: 'graph-model' }))).rejects.toThrow(
    'page must be a layers model, got a graph model',
  )
})
