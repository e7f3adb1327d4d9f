import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { patchGate } from '../../src/layers/moe/patch-gate.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { disposeModel } from '../../src/models/dispose-model.js'
import { continueRun, createRun, fileCheckpoints, openRun } from '../../src/run/run-folder.js'
import { modelRouters } from '../../src/run/starting-routers.js'
import type { EpochMetrics } from '../../src/train/events.js'
import { epochScalars, eventFileStart, scalarEvents } from '../../src/train/tensorboard.js'
import { useTestBackend } from '../backend-under-test.js'
import { runConfigOf } from '../files/run-configs.js'

const config = runConfigOf()

let root: string
let directory: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'run-folder-'))
  directory = join(root, 'runs', 'first')
})

afterEach(() => rm(root, { recursive: true }))

function epoch(number: number): EpochMetrics {
  return {
    epoch: number,
    trainLoss: 1 / number,
    trainAccuracy: 0.5,
    testLoss: 0.25,
    testAccuracy: 0.75,
    seconds: 1.5,
    learningRate: 0.1,
    steps: 5 * number,
  }
}

describe('createRun', () => {
  test('writes the configuration, which openRun reads', async () => {
    const run = await createRun(directory, config)
    expect(run.config).toEqual(config)
    expect((await openRun(directory)).config).toEqual(config)
    expect(await readdir(directory)).toEqual(['config.json'])
  })

  test('takes an empty folder, refuses a run, and replaces it when forced', async () => {
    await mkdir(directory, { recursive: true })
    const run = await createRun(directory, config)
    await run.restart([])
    await run.recordEpoch(epoch(1))
    await run.checkpoints.write('latest.safetensors', Uint8Array.of(1))
    await writeFile(join(directory, 'notes.txt'), 'mine')
    await expect(createRun(directory, config)).rejects.toThrow(
      `createRun: ${directory} must be new or empty, got a run (continue it with --resume, replace it with --force)`,
    )
    expect((await run.epochs()).length).toBe(1)
    const replaced = await createRun(directory, { ...config, seed: 2 }, { force: true })
    expect((await openRun(directory)).config.seed).toBe(2)
    expect(await replaced.epochs()).toEqual([])
    expect(await replaced.checkpoints.read('latest.safetensors')).toBeUndefined()
    expect((await readdir(directory)).sort()).toEqual(['config.json', 'notes.txt'])
  })

  test('never touches a folder that is no run, forced or not', async () => {
    await mkdir(join(root, 'home'))
    await writeFile(join(root, 'home', 'model'), 'precious')
    for (const force of [false, true]) {
      await expect(createRun(join(root, 'home'), config, { force })).rejects.toThrow(
        `createRun: ${join(root, 'home')} must be new, empty or a run, got a folder with model`,
      )
    }
    expect(await readFile(join(root, 'home', 'model'), 'utf8')).toBe('precious')
  })

  test('says why a folder cannot be made', async () => {
    await writeFile(join(root, 'file'), '')
    await expect(createRun(join(root, 'file'), config)).rejects.toThrow(
      /file must be a readable folder, got ENOTDIR/,
    )
    if (process.platform === 'linux') {
      await expect(createRun('/proc/not/here', config)).rejects.toThrow(
        /^createRun: \/proc\/not\/here must be writable, got ENOENT/,
      )
    }
    await expect(createRun(join(root, 'file', 'below'), config)).rejects.toThrow(/below must be .*ENOTDIR/)
  })
})

describe('openRun', () => {
  test('names a folder that is no run', async () => {
    await expect(openRun(directory)).rejects.toThrow(
      new Error(`openRun: ${directory} must be the folder of a run, got nothing there`),
    )
    await mkdir(directory, { recursive: true })
    await expect(openRun(directory)).rejects.toThrow(
      new Error(`openRun: ${directory} must be the folder of a run, got one without config.json`),
    )
    const file = join(directory, 'notes.txt')
    await writeFile(file, '')
    await expect(openRun(file)).rejects.toThrow(
      new Error(`openRun: ${file} must be the folder of a run, got a file`),
    )
  })

  test('names the key that a configuration lacks', async () => {
    await createRun(directory, config)
    const path = join(directory, 'config.json')
    const { seed: _, ...rest } = config
    await writeFile(path, JSON.stringify(rest))
    await expect(openRun(directory)).rejects.toThrow(
      `${path}: must be the configuration of a run, got seed: `,
    )
    await writeFile(path, '{')
    await expect(openRun(directory)).rejects.toThrow(`${path}: must be JSON, got 1 characters that are not`)
  })
})

describe('the epochs of a run', () => {
  test('are kept in order, with the time at which they ended', async () => {
    const run = await createRun(directory, config)
    await run.restart([])
    const before = Date.now() / 1000
    await run.recordEpoch(epoch(1))
    await run.recordEpoch(epoch(2))
    const epochs = await (await openRun(directory)).epochs()
    expect(epochs.map(({ wallTime: _, ...metrics }) => metrics)).toEqual([epoch(1), epoch(2)])
    for (const { wallTime } of epochs) expect(wallTime).toBeGreaterThanOrEqual(before)
    const lines = (await readFile(join(directory, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n')
    expect(lines.map(line => JSON.parse(line))).toEqual(epochs)
  })

  test('go on from those of a checkpoint, in metrics and TensorBoard events alike', async () => {
    const run = await createRun(directory, config)
    await run.restart([])
    for (const number of [1, 2, 3]) await run.recordEpoch(epoch(number))
    const [first, second] = await run.epochs()
    // Killed after the third epoch was recorded, before its checkpoint: it is trained again.
    await run.restart([epoch(1), epoch(2)])
    expect(await run.epochs()).toEqual([first, second])
    const [events] = (await readdir(directory)).filter(name => name.startsWith('events.out.tfevents.'))
    const expected = Buffer.concat([
      eventFileStart(first!.wallTime),
      scalarEvents([first!, second!].flatMap(metrics => epochScalars(metrics, metrics.wallTime))),
    ])
    expect((await readFile(join(directory, events!))).equals(expected)).toBe(true)
  })

  test('do not count a last line that was cut off, and report one that is damaged', async () => {
    const run = await createRun(directory, config)
    await run.recordEpoch(epoch(1))
    const path = join(directory, 'metrics.jsonl')
    const offset = (await readFile(path)).length
    await appendFile(path, '{"epoch":2,"trainL')
    expect((await run.epochs()).length).toBe(1)
    await appendFile(path, '\n')
    await expect(run.epochs()).rejects.toThrow(
      new RegExp(`^${path}: line 2 must be the metrics of an epoch, got .* \\(byte ${offset}\\)$`),
    )
    await writeFile(path, '{"epoch":0}\n')
    await expect(run.epochs()).rejects.toThrow(/line 1 must be the metrics of an epoch, got epoch: Too small/)
  })
})

test('checkpoints survive as they were written; one that is not there is undefined', async () => {
  const store = fileCheckpoints(join(root, 'checkpoints'))
  expect(await store.read('a')).toBeUndefined()
  await store.write('a', Uint8Array.of(1, 2, 3))
  await store.write('a', Uint8Array.of(4, 5))
  expect([...(await store.read('a'))!]).toEqual([4, 5])
  expect(await readdir(join(root, 'checkpoints'))).toEqual(['a'])
  await writeFile(join(root, 'file'), '')
  await expect(fileCheckpoints(join(root, 'file')).write('a', Uint8Array.of(1))).rejects.toThrow(
    /^checkpoint .*file\/a must be writable, got EEXIST/,
  )
})

describe('the routers that a run starts with', () => {
  /** A PatchMoE inside another model, a PatchGate, and a Dense layer whose weights are no routers. */
  function mixtures(): tf.LayersModel {
    const input = tf.input({ shape: [4, 4, 2] })
    const body = tf.sequential({
      name: 'body',
      layers: [
        patchMoE({
          name: 'moe',
          filters: 4,
          numExperts: 2,
          patchesPerExpert: 3,
          patchSize: 2,
          kernelSize: 1,
          seed: 1,
          inputShape: [4, 4, 2],
        }),
      ],
    })
    const gated = patchGate({ name: 'gate', patchSize: 2, patchesPerExpert: 2, seed: 2 }).apply(input)
    const flat = tf.layers.flatten().apply(body.apply(gated)) as tf.SymbolicTensor
    return tf.model({
      inputs: input,
      outputs: tf.layers.dense({ units: 2 }).apply(flat) as tf.SymbolicTensor,
    })
  }

  test('are kept by layer, and outlive the training, a restart and another configuration', async () => {
    await useTestBackend()
    const model = mixtures()
    const routers = await modelRouters(model)
    expect([...routers].map(([name, { shape }]) => [name, shape])).toEqual([
      ['gate/router', [2, 2, 2, 1]],
      ['body/moe/router', [2, 2, 2, 2]],
    ])
    const run = await createRun(directory, config, { routers })
    for (const layer of [model.getLayer('gate'), (model.getLayer('body') as tf.Sequential).layers[0]!]) {
      layer.setWeights(layer.getWeights().map(weight => tf.onesLike(weight)))
    }
    await run.restart([])
    await run.saveModel(model)
    const longer = await continueRun(run, { ...config, seed: 3 })
    expect(await longer.startingRouters()).toEqual(routers)
    expect(await (await openRun(directory)).startingRouters()).toEqual(routers)
    disposeModel(model)
  })

  test('are those of a network trained before, which is kept whole', async () => {
    await useTestBackend()
    const initial = mixtures()
    const run = await createRun(directory, config, { initial })
    expect(await run.startingRouters()).toEqual(await modelRouters(initial))
    disposeModel(initial)
  })

  test('are not written for a network without a mixture, and missing in older runs', async () => {
    await useTestBackend()
    const dense = tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [3] })] })
    const run = await createRun(directory, config, { routers: await modelRouters(dense) })
    expect(await readdir(directory)).toEqual(['config.json'])
    expect(await run.startingRouters()).toBeUndefined()
  })

  test('go when another run takes the folder', async () => {
    const tensor = { dtype: 'F32', shape: [1], data: Float32Array.of(1) } as const
    await createRun(directory, config, { routers: new Map([['moe/router', tensor]]) })
    const replaced = await createRun(directory, config, { force: true })
    expect(await replaced.startingRouters()).toBeUndefined()
  })

  test('name their file where it is damaged', async () => {
    const run = await createRun(directory, config)
    const path = join(directory, 'routers-start.safetensors')
    await writeFile(path, 'short')
    await expect(run.startingRouters()).rejects.toThrow(
      `${path}: header length at byte 0 must take 8 bytes, got a file of 5`,
    )
    await rm(path)
    await mkdir(path)
    await expect(run.startingRouters()).rejects.toThrow(`${path}: must be readable, got EISDIR`)
  })
})

test('a saved model computes the same when loaded', async () => {
  await useTestBackend()
  const run = await createRun(directory, config)
  const model = tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [3] })] })
  await run.saveModel(model)
  const loaded = await (await openRun(directory)).loadModel()
  const x = tf.tensor2d([[1, -2, 3]])
  const [before, after] = [model, loaded].map(each => (each.predict(x) as tf.Tensor).dataSync())
  expect([...after!]).toEqual([...before!])
})

test('a model that cannot be built names its folder, in one line', async () => {
  await useTestBackend()
  const run = await createRun(directory, config)
  await run.saveModel(tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [3] })] }))
  const path = join(directory, 'model', 'model.json')
  const saved = await readFile(path, 'utf8')
  await writeFile(path, saved.replace('"class_name":"Dense"', '"class_name":"Dance"'))
  await expect(run.loadModel()).rejects.toThrow(
    /^fileSystem: .*\/first\/model\/model.json: layer "[^"]+" must be of a class that is registered, got "Dance" \([^\n]*\)$/,
  )
  await writeFile(path, '[]')
  await expect(run.loadModel()).rejects.toThrow(
    `fileSystem: ${path} must describe a model, got: the whole: Invalid input: expected object, received array`,
  )
})
