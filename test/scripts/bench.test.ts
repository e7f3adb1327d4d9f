import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LatencyResults } from '../../scripts/run/measuring/latency-results.js'
import { measureLatency } from '../../scripts/run/measuring/measured-latency.js'
import { prepareModel } from '../../scripts/run/measuring/prepared-model.js'
import { exportOnnx } from '../../src/export/onnx/onnx.js'
import { samplesFolder } from '../../src/files/data-folder.js'
import { fileSystem } from '../../src/files/model-files.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { useTestBackend } from '../backend-under-test.js'
import { callPmoe, runPmoe, startPmoe } from './run-pmoe.js'

let root: string
let model: string
let onnx: string
beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-bench-test-'))
  model = join(root, 'model')
  onnx = join(root, 'model.onnx')
  const pmoe = { numExperts: 2, patchesPerExpert: 3, patchSize: 2 }
  const network = wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1, pmoe })
  await network.save(fileSystem(model))
  await writeFile(onnx, (await exportOnnx(network)).bytes)
})
afterAll(() => rm(root, { recursive: true }))

const faces = () => samplesFolder('drawn-faces-celeba').describe('img_align_celeba')
const quick = ['--rounds', '1', '--runs', '1', '--warm-up', '1', '--threads', '1']

describe('pmoe bench', () => {
  test('measures in processes of their own, names what cannot be, and keeps the rest', async () => {
    const missing = join(root, 'missing')
    const out = join(root, 'results')
    const words = [
      'bench',
      onnx,
      missing,
      '--batch',
      '2',
      ...quick,
      '--images',
      faces(),
      '--out',
      out,
      '--json',
    ]
    const { code, out: text, err } = await runPmoe(words)
    expect(code).toBe(1)
    const reason = `${missing}: must be a run, a saved model, an ONNX file or a SavedModel, got nothing there`
    expect(err).toContain('pmoe: bench: 1 of 2 measurements failed (their lines say why)\n')
    const { rows, machine } = JSON.parse(text) as LatencyResults
    expect(rows[0]).toMatchObject({
      model: onnx,
      engine: 'onnx',
      threads: 1,
      batch: 2,
      software: 'ONNX Runtime',
    })
    expect(rows[0]?.seconds?.count).toBe(1)
    expect(rows[1]).toEqual({ model: missing, error: reason })
    expect(machine.cores).toBeGreaterThan(0)
    expect((await readdir(out)).sort()).toEqual(['bench.json', 'figure.png', 'figure.svg', 'table.md'])
    expect(await readFile(join(out, 'table.md'), 'utf8')).toContain('| failed [1] |')
    expect(JSON.parse(await readFile(join(out, 'bench.json'), 'utf8'))).toMatchObject({
      format: 'pmoe bench',
    })
    const again = await callPmoe(words)
    expect(again.err).toBe(
      `pmoe: bench: ${out} must be new, got one that is there (replace it with --force)\n`,
    )
  })

  test('ends its processes at Ctrl-C, and leaves nothing behind', async () => {
    const temporary = await mkdtemp(join(root, 'temporary-'))
    const out = join(root, 'stopped')
    const words = ['bench', onnx, '--batch', '1', ...quick, '--rounds', '500', '--out', out]
    const { child, finished } = startPmoe(words, { env: { TMPDIR: temporary } })
    const made = async () => (await readdir(temporary)).filter(name => name.startsWith('pmoe-bench-'))
    while ((await made()).length === 0 && child.exitCode === null) await setTimeout(20)
    child.kill('SIGINT')
    const { code, err } = await finished
    expect({ code, err }).toEqual({ code: 130, err: expect.stringContaining('Stopping ...\n') })
    expect(await made()).toEqual([])
    expect(await readdir(root)).not.toContain('stopped')
  })

  test('refuses calls that cannot work', async () => {
    expect(await callPmoe(['bench', onnx, onnx])).toMatchObject({
      code: 2,
      err: `pmoe: bench: models must differ, got ${onnx} twice\n`,
    })
    const nowhere = join(root, 'nowhere')
    expect(await callPmoe(['bench', onnx, '--images', nowhere])).toMatchObject({
      code: 2,
      err: `pmoe: bench: --images must be readable, got ${nowhere}: image must be readable, got nothing there\n`,
    })
    for (const [flag, value] of [
      ['--backend', 'onyx'],
      ['--batch', '0'],
      ['--threads', '1,x'],
    ]) {
      expect((await callPmoe(['bench', onnx, flag as string, value as string])).code).toBe(2)
    }
  })
})

describe('a model that is made ready', () => {
  const job = { kind: 'preparation', images: [] } as const
  const latency = { kind: 'latency', warmUp: 1, runs: 3, seconds: 100, threads: 1, batch: 2 } as const

  test('is exported, counted and measured by each engine', async () => {
    const folder = await mkdtemp(join(root, 'ready-'))
    const { models, notes } = await prepareModel({ ...job, path: model, folder })
    expect(notes).toEqual([
      `${model}: a mixture without a dense network to compare it with; the run of a wide or two-layer one has it`,
    ])
    const [ready] = models
    expect(models).toHaveLength(1)
    expect(ready).toMatchObject({ name: model, tfjs: model, inputs: [{ shape: [16, 16, 3] }] })
    expect(ready?.multiplyAdds).toBeGreaterThan(1e5)
    const inputs = ready!.inputs
    for (const engine of ['layers', 'forInference'] as const) {
      // The clock moves 1 s at each look: a prediction takes 1 s, and what lies between two of them another.
      let ticks = 0
      const measured = { ...latency, engine, path: model, backend: 'wasm', inputs } as const
      const { seconds } = await measureLatency(measured, () => 1000 * ticks++)
      expect(seconds.predict).toEqual([1, 1, 1])
    }
    const file = { ...latency, engine: 'onnx', path: ready!.onnx!, backend: 'onnxruntime', inputs } as const
    expect((await measureLatency({ ...file, seconds: 0 })).seconds.predict).toHaveLength(1)
    await expect(measureLatency({ ...file, batch: 1e8 })).rejects.toThrow(
      'a batch of 100000000 must fit into memory, got: Invalid typed array length: 76800000000',
    )
    await expect(measureLatency({ ...file, engine: 'layers', path: model })).rejects.toThrow(
      'measureLatency: backend must be one of tfjs for layers, got onnxruntime',
    )
    await useTestBackend()
  })

  test('has a dense network where it is the run of a mixture', async () => {
    const run = join(root, 'run')
    const words = ['train', '--dataset', 'digits-patches', '--model', 'two-layer-pmoe', '--samples', '8']
    const training = ['--test-samples', '8', '--epochs', '1', '--backend', 'wasm', '--out', run]
    expect(await callPmoe([...words, ...training])).toMatchObject({ code: 0 })
    const folder = await mkdtemp(join(root, 'ready-'))
    const { models, notes } = await prepareModel({ ...job, path: run, folder })
    expect(notes).toEqual([])
    expect(models.map(({ name, denseOf }) => [name, denseOf])).toEqual([
      [run, undefined],
      [`${run}, dense`, run],
    ])
    expect(models[0]!.multiplyAdds! / models[1]!.multiplyAdds!).toBeLessThan(1)
    await useTestBackend()
  })

  test('is refused where it is something else', async () => {
    const text = join(root, 'notes.txt')
    await writeFile(text, 'nothing')
    await expect(prepareModel({ ...job, path: text, folder: root })).rejects.toThrow(
      `${text}: must be the folder of a run or of a saved model, got `,
    )
  })
})
