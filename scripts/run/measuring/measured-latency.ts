import { readFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import { useBackend } from '../../../src/backend/choose.js'
import { loadSavedModel, savedModelInputs } from '../../../src/backend/tensorflow/saved-model.js'
import { random } from '../../../src/random.js'
import { shapeSize } from '../../../src/shapes.js'
import {
  frozenRuntime,
  type Numbers,
  numbersOf,
  ownedRuntime,
  type Runtime,
  tensorOf,
} from '../export-formats/model-runtime.js'
import { onnxRuntime } from '../export-formats/onnx.js'
import { asFloats, fed, repeated } from '../export-parity.js'
import { openModel } from '../opened-model.js'
import type { ChildReport } from './child-report.js'
import type { FedInput, LatencyJob } from './latency-jobs.js'
import { timedInTurn } from './timed-in-turn.js'

/**
 * Times predictions in this process, from numbers in JavaScript's memory to outputs there: `predict`, in seconds.
 *
 * @param now a clock, in milliseconds
 * @throws Error when the model, or what is to compute it, cannot be loaded
 */
export async function measureLatency(job: LatencyJob, now = () => performance.now()): Promise<ChildReport> {
  const { runtime, software } = await openEngine(job)
  const inputs = await inputsOf(job).catch((cause: Error) => {
    throw new Error(`a batch of ${job.batch} must fit into memory, got: ${cause.message}`, { cause })
  })
  const pace = { warmUp: Math.max(1, job.warmUp), runs: job.runs, seconds: job.seconds }
  const [predict = []] = await timedInTurn([() => runtime.run(inputs)], pace, { now })
  await runtime.dispose()
  return {
    software,
    seconds: { predict },
    facts: { peakBytes: process.resourceUsage().maxRSS * 1024 },
  }
}

async function openEngine(
  job: LatencyJob,
): Promise<{ readonly runtime: Runtime; readonly software: string }> {
  if (job.engine === 'onnx') {
    const runtime = await onnxRuntime(job.path, job.threads)
    if (typeof runtime === 'string') throw new Error(runtime)
    return { runtime, software: runtime.name }
  }
  if (job.backend === 'onnxruntime') {
    throw new RangeError(`measureLatency: backend must be one of tfjs for ${job.engine}, got onnxruntime`)
  }
  const backend = await useBackend(job.backend)
  const library = backend.tensorflow ? `, TensorFlow ${backend.tensorflow.version}` : ''
  const software = `tfjs ${tf.version_core}, backend ${backend.name}${library}`
  if (job.engine === 'savedmodel') {
    const { tensorflow } = backend
    if (!tensorflow) {
      throw new Error(`a SavedModel must be run by native TensorFlow, got backend ${backend.name}`)
    }
    return { runtime: await savedModelRuntime(tensorflow, job.path), software }
  }
  const { model } = await openModel(job.path)
  if (job.engine === 'layers') return { runtime: ownedRuntime(model, backend), software }
  const runtime = await frozenRuntime(model)
  model.dispose()
  return { runtime, software }
}

async function savedModelRuntime(
  tensorflow: Parameters<typeof loadSavedModel>[0],
  path: string,
): Promise<Runtime> {
  const names = (await savedModelInputs(tensorflow, path)).map(({ name }) => name)
  const loaded = await loadSavedModel(tensorflow, path)
  return {
    name: 'SavedModel',
    run: inputs => {
      const feeds = names.map((name, i) => [name, tensorOf(inputs[i] as Numbers)] as const)
      const outputs = loaded.predict(Object.fromEntries(feeds))
      for (const [, tensor] of feeds) tensor.dispose()
      return numbersOf(Object.values(outputs))
    },
    dispose: async () => loaded.dispose(),
  }
}

/** A batch of each input, as the engine takes it. */
async function inputsOf({ inputs, images, batch, engine }: LatencyJob): Promise<Numbers[]> {
  return Promise.all(
    inputs.map(async (input, i) => {
      const samples = i === 0 && images !== undefined ? await imagesOf(images, input) : noise(input, i, batch)
      const bytes = repeated(samples, batch)
      return engine === 'layers' || engine === 'forInference' ? asFloats(bytes) : fed(bytes, input)
    }),
  )
}

async function imagesOf(file: string, { shape }: FedInput): Promise<Numbers> {
  const data = new Uint8Array(await readFile(file))
  return { data, shape: [data.length / shapeSize(shape), ...shape] }
}

function noise({ shape }: FedInput, input: number, batch: number): Numbers {
  const source = random(1, `latency ${input}`)
  const count = Math.min(batch, 16)
  const data = Uint8Array.from({ length: count * shapeSize(shape) }, () => source.below(256))
  return { data, shape: [count, ...shape] }
}
