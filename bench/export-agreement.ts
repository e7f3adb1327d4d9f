/**
 * How trained networks and what is made of them for prediction agree on test images that none of them has seen: frozen,
 * exported, and exported with narrow numbers.
 *
 *     for s in 1 2 3 4 5; do for m in wrn wrn-pmoe; do
 *       npx pmoe train --dataset fashion-quadrants --model $m --seed $s --samples 500 --test-samples 500 --epochs 15 --out runs/$m-$s
 *     done; done
 *     npx tsx bench/export-agreement.ts runs/wrn-?  # and runs/wrn-pmoe-?
 *
 * The table tells, over all runs that are named: test accuracy as mean ± standard deviation, its difference to that of the
 * trained network, the least share of images that both put into the same class, and the bytes of the file of the first run.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { calibrationBatches } from '../scripts/run/calibration-images.js'
import { type ExportAccuracy, exportAccuracy } from '../scripts/run/export-accuracy.js'
import { exportFormat } from '../scripts/run/export-formats/export-formats.js'
import { frozenRuntime, modelRuntime, type Runtime } from '../scripts/run/export-formats/model-runtime.js'
import { type OpenedModel, openModel } from '../scripts/run/opened-model.js'
import { loadData } from '../scripts/run/run-data.js'
import { textTable } from '../scripts/terminal/text-table.js'
import { type BackendChoice, useBackend } from '../src/backend/choose.js'
import { calibrate } from '../src/inference/calibration.js'
import { mean, standardDeviation } from '../src/statistics/descriptive.js'

interface Made {
  readonly runtime: Runtime
  readonly bytes?: number
}

const { signal } = new AbortController()
const backend = await useBackend('auto')
const folder = await mkdtemp(join(tmpdir(), 'export-agreement-'))
const measured = new Map<string, { accuracies: ExportAccuracy[]; bytes: number | undefined }>()
try {
  for (const [run, path] of process.argv.slice(2).entries()) {
    const opened = await openModel(path)
    if (!opened.config) throw new Error(`export-agreement: ${path} must be a run, got a model alone`)
    const { test } = await loadData(opened.config.dataset, opened.config.seed)
    const original = modelRuntime(opened.model, backend)
    for (const [name, made] of ways(opened, backend, join(folder, String(run)))) {
      const { runtime, bytes } = await made()
      const accuracy = await exportAccuracy(original, runtime, test, {}, signal)
      await runtime.dispose()
      const before = measured.get(name)
      measured.set(name, {
        accuracies: [...(before?.accuracies ?? []), accuracy],
        bytes: before?.bytes ?? bytes,
      })
    }
    opened.model.dispose()
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
const head = ['', 'accuracy, %', 'difference, points', 'same class, least', 'bytes']
console.log(
  textTable(
    head,
    [...measured].map(([name, { accuracies, bytes }]) => row(name, accuracies, bytes)),
  ),
)

/** Everything that is made of a network for prediction. */
function ways(
  opened: OpenedModel,
  backend: BackendChoice,
  folder: string,
): readonly (readonly [string, () => Promise<Made>])[] {
  const { model } = opened
  const exported = (format: string, quantize?: 'int8' | 'float16') => async (): Promise<Made> => {
    const entry = exportFormat(format)
    const path = `${folder}-${format}-${quantize}`
    const ranges =
      quantize === 'int8' ? await calibrate(model, calibrationBatches(opened, undefined)) : quantize
    const { bytes } = await entry.write(model, path, { facts: {}, ...(ranges && { quantize: ranges }) })
    const runtime = await entry.load({ path, model, backend })
    if (typeof runtime === 'string') throw new Error(runtime)
    return { runtime, bytes }
  }
  return [
    ['forInference', async () => ({ runtime: await frozenRuntime(model) })],
    ['ONNX', exported('onnx')],
    ['ONNX, float16', exported('onnx', 'float16')],
    ['ONNX, int8', exported('onnx', 'int8')],
    ...(backend.tensorflow ? ([['SavedModel', exported('savedmodel')]] as const) : []),
  ]
}

function row(name: string, accuracies: readonly ExportAccuracy[], bytes: number | undefined): string[] {
  const spread = (values: readonly number[]) => {
    const deviation = values.length > 1 ? ` ± ${(100 * standardDeviation(values)).toFixed(2)}` : ''
    return `${(100 * mean(values)).toFixed(2)}${deviation}`
  }
  return [
    name,
    spread(accuracies.map(({ exported }) => exported)),
    spread(accuracies.map(({ exported, model }) => exported - model)),
    `${(100 * Math.min(...accuracies.map(({ agreement }) => agreement))).toFixed(1)} %`,
    bytes === undefined ? '' : bytes.toLocaleString('en-US'),
  ]
}
