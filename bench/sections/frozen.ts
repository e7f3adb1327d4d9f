import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ChildReport, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { type LatencySettings, latencyPlan, takeLatencies } from '../../scripts/run/measuring/latency-plan.js'
import { workerCommand } from '../../scripts/run/measuring/latency-processes.js'
import { type LatencyRow, latencyRows, latencyTable } from '../../scripts/run/measuring/latency-table.js'
import { ratiosText, secondsText } from '../../scripts/run/measuring/number-text.js'
import { type PreparedModel, preparedNetwork } from '../../scripts/run/measuring/prepared-model.js'
import { sit } from '../../scripts/run/measuring/sitting.js'
import { median } from '../../scripts/run/measuring/statistics.js'
import { useBackend } from '../../src/backend/choose.js'
import { fileSystem } from '../../src/files/model-files.js'
import { joinSections, type SectionResult } from '../bench-result.js'
import type { NetworkSize } from '../jobs.js'
import { buildNetwork } from '../network.js'
import { webPeerCommand } from '../peers.js'
import { type BenchContext, turnsOf } from '../section.js'
import type { MeasuredTargets } from '../targets.js'

/** The mixtures, each beside the dense network of its size. */
const fullSizes: readonly NetworkSize[] = [
  { size: 64, classes: 10, widen: 10, experts: 8, keep: 2, patch: 4, kernel: 3 },
  { size: 32, classes: 10, widen: 10, experts: 4, keep: 16, patch: 1, kernel: 1 },
  { size: 32, classes: 10, widen: 2, experts: 4, keep: 16, patch: 1, kernel: 1 },
]
const quickSizes: readonly NetworkSize[] = [
  { size: 16, classes: 4, widen: 1, experts: 4, keep: 2, patch: 2, kernel: 3 },
]
const fullBatches = [1, 8, 32]

/** Measures frozen and exported networks, each measurement in a process of its own, as `pmoe bench` does: workload (q). */
export async function measureFrozen(context: BenchContext): Promise<SectionResult> {
  const { quick, log } = context
  const settings: LatencySettings = {
    batches: quick ? [1, 2] : fullBatches,
    threads: quick ? [1] : [1, 2],
    backends: quick ? ['onnxruntime'] : ['tensorflow', 'onnxruntime'],
    rounds: turnsOf(context, 3),
    ...(quick ? { warmUp: 1, runs: 2, seconds: 1 } : { warmUp: 20, runs: 20, seconds: 2 }),
  }
  const folder = await mkdtemp(join(tmpdir(), 'bench-frozen-'))
  try {
    const models = await networkFiles(quick ? quickSizes : fullSizes, folder)
    const plan = latencyPlan(models, settings)
    const progress = (done: number, total: number, who: string) => log(`(q), ${done + 1} of ${total}: ${who}`)
    const sitting = await takeLatencies(plan, settings, { progress })
    const rows = latencyRows(plan, sitting, { overFirst: false })
    const { head, rows: cells, failures } = latencyTable(rows)
    const table = {
      letter: 'q',
      title: 'Frozen and exported networks, float32',
      sentence: 'Compares prediction of mixtures with that of dense networks, untrained, on noise.',
      ...{ head, rows: cells },
    } as const
    const measured = { measured: frozenTargets(rows), reports: Object.fromEntries(sitting.reports) }
    const web = await measureWeb(context, models, settings)
    return joinSections([{ tables: [table], ...measured, failures }, ...web])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** WebAssembly beside that of onnxruntime-web, where the peers are to be measured: the smallest mixture. */
async function measureWeb(
  context: BenchContext,
  models: readonly PreparedModel[],
  { batches, rounds, ...pace }: LatencySettings,
): Promise<SectionResult[]> {
  const model = models.findLast(({ denseOf }) => denseOf === undefined)
  if (context.peers === undefined || model?.onnx === undefined || model.tfjs === undefined) return []
  const { onnx, inputs, tfjs, name } = model
  const { runs, seconds } = pace
  // Code of WebAssembly is compiled to fast code only after many predictions.
  const warmUp = context.quick ? pace.warmUp : 200
  const commands = batches.flatMap(batch => {
    const job = { batch, warmUp, runs, seconds }
    const own = {
      ...job,
      kind: 'latency',
      engine: 'forInference',
      backend: 'wasm',
      threads: 1,
      inputs,
    } as const
    return [
      workerCommand(`ours ${batch}`, { ...own, path: tfjs }),
      webPeerCommand(`web ${batch}`, context.peers as string, {
        ...job,
        path: onnx,
        size: inputs[0]?.shape[0] as number,
      }),
    ]
  })
  const sitting = await sit('(q)', commands, rounds, context)
  const time = (report: ChildReport) => median(secondsOf(report, 'predict'))
  const measured = batches.flatMap(batch => {
    const ratio = sitting.ratio(`ours ${batch}`, `web ${batch}`, time)
    if (!ratio) return []
    const [ours, web] = [`ours ${batch}`, `web ${batch}`].map(who => sitting.numbers(who, time) ?? [])
    const cells = [ours, web].map(times => secondsText(median(times as number[])))
    return [{ value: ratio.median, row: [`${batch}`, ...cells, ratiosText(ratio)] }]
  })
  const table = {
    letter: 'q',
    title: `WebAssembly, ${name}`,
    sentence:
      'Compares the frozen mixture on wasm with its exported file in onnxruntime-web, one thread each, in Node.js.',
    head: ['batch', 'forInference on wasm', 'onnxruntime-web', 'ours / theirs'],
    rows: measured.map(({ row }) => row),
  } as const
  const worst = { 'wasm/onnxruntime-web': { value: Math.max(...measured.map(({ value }) => value)) } }
  return [
    {
      tables: measured.length > 0 ? [table] : [],
      measured: measured.length > 0 ? worst : {},
      reports: Object.fromEntries(sitting.reports),
      failures: sitting.failures,
    },
  ]
}

/** Saves and exports each mixture and its dense network. */
async function networkFiles(sizes: readonly NetworkSize[], folder: string): Promise<PreparedModel[]> {
  await useBackend('wasm')
  const models: PreparedModel[] = []
  for (const setting of sizes) {
    const { size, widen, experts, keep, patch } = setting
    const patches = (size / 4 / patch) ** 2
    const name = `WRN-10-${widen}, ${size}x${size}, ${experts} experts on ${keep} of ${patches}`
    for (const kind of ['wrn-pmoe', 'wrn'] as const) {
      const own = join(folder, String(models.length))
      await mkdir(own)
      const model = buildNetwork(kind, setting)
      await model.save(fileSystem(join(own, 'model')))
      const isDense = kind === 'wrn'
      const prepared = await preparedNetwork(
        isDense ? `${name}, dense` : name,
        model,
        join(own, 'model.onnx'),
      )
      models.push({ ...prepared, tfjs: join(own, 'model'), ...(isDense && { denseOf: name }) })
      model.dispose()
    }
  }
  return models
}

/** The worst of all networks: what ONNX takes beyond its share of the work, and native TensorFlow beside it. */
export function frozenTargets(rows: readonly LatencyRow[]): MeasuredTargets {
  const excess = rows.flatMap(({ engine, over, work }) =>
    engine === 'onnx' && over?.dense !== undefined && work !== undefined ? [over.dense - work] : [],
  )
  const native = (size: number) =>
    rows.flatMap(({ engine, backend, batch, over }) =>
      engine === 'forInference' && backend === 'tensorflow' && batch === size ? (over?.onnx ?? []) : [],
    )
  const largest = { 'onnx time/work': excess, 'native/onnx 1': native(1), 'native/onnx 32': native(32) }
  return Object.fromEntries(
    Object.entries(largest).flatMap(([id, values]) =>
      values.length > 0 ? [[id, { value: Math.max(...values) }]] : [],
    ),
  )
}
