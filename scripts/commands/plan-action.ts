import { existsSync } from 'node:fs'
import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { shellCommand } from '../../src/cluster/shell-command.js'
import { writeFileAtomic } from '../../src/files/atomic.js'
import { mostPatchesPerExpert } from '../../src/layers/moe/routing-layers.js'
import {
  type PatchMoEPlan,
  type PlannedConvolution,
  planPatchMoE,
  savedShare,
} from '../../src/models/plan-patch-moe.js'
import { chartSvg } from '../../src/report/charts.js'
import { patchesChartSpec } from '../../src/report/patches-chart.js'
import type { Size2D } from '../../src/shapes.js'
import { measurePatches, type PatchesCurve } from '../run/measuring/measured-patches.js'
import { type OpenedModel, openModel, refuseRouted } from '../run/opened-model.js'
import {
  type KnownImages,
  type PlaceProspect,
  placeProspects,
  trainingImagesIn,
} from '../run/planning/place-prospects.js'
import { regionPlan, regionPlanText } from '../run/regions/region-plan.js'
import { sizesFor } from '../run/regions/region-sizes.js'
import { loadData } from '../run/run-data.js'
import { flagOf, namingFlags } from '../run/train-settings.js'
import { interruptedExitCode, onInterrupt } from '../terminal/interrupt.js'
import { textTable } from '../terminal/text-table.js'
import { percent } from '../terminal/training-log.js'
import { asUsage, UsageError } from '../terminal/usage-error.js'
import { wrappedText } from '../terminal/wrapped-text.js'

/** The flags of `pmoe plan`. */
export interface PlanRequest {
  readonly experts?: number
  readonly patchesPerExpert?: number
  readonly patchSize?: number | [number, number]
  /** Measure the network as it is, instead of planning another. */
  readonly measure?: boolean
  readonly picture?: string
  /** Training images, or the folder that holds them. */
  readonly images?: number
  readonly data?: string
  /** Share of an image's area that the object fills. */
  readonly objectShare?: number
  /** In the place of a model: one that reads images of `imageSize` in parts. */
  readonly model?: 'routed'
  readonly imageSize?: Size2D
  readonly cellSize?: number | [number, number]
  readonly viewScale?: number
  readonly margin?: number
  readonly backend?: BackendName | 'auto'
  readonly json?: boolean
}

/** Lists the convolutions of a model and writes what a mixture in the place of each would cost. */
export async function runPlan(path: string | undefined, request: PlanRequest): Promise<void> {
  checkPicture(request)
  if (request.model === 'routed') return runRegionPlan(path, request)
  if (path === undefined) {
    throw new UsageError('plan: model must be named, got none (--model routed plans one for large images)')
  }
  for (const name of ['imageSize', 'cellSize', 'viewScale', 'margin'] as const) {
    if (request[name] === undefined) continue
    throw new UsageError(`plan: ${flagOf(name)} must be used with --model routed, got ${path}`)
  }
  if (request.measure) refuseImageFlags(request, '--measure')
  const backend = await useBackend(request.backend ?? 'auto')
  const opened = await openModel(path)
  refuseRouted(
    opened,
    request.measure
      ? 'plan: --measure must be for a network of whole images'
      : 'plan: network must take whole images (--model routed --image-size plans the others)',
  )
  if (request.measure) return measure(opened, backend.name, request)
  const { model, directory } = opened
  const { experts: numExperts = 4, patchSize = 1, patchesPerExpert } = request
  const plan = planPatchMoE(model, {
    numExperts,
    patchSize,
    ...(patchesPerExpert !== undefined && { patchesPerExpert }),
  })
  const prospects = placeProspects(model, plan, await knownImages(opened, request))
  if (request.json) {
    process.stdout.write(`${JSON.stringify({ model: directory, ...plan, prospects })}\n`)
    return
  }
  const columns = process.stdout.isTTY ? process.stdout.columns : Infinity
  process.stdout.write(`${planText(directory, plan, { experts: numExperts, prospects, columns })}\n`)
}

/** What is known of the images: what was asked with, or how many a run was trained on. */
async function knownImages(
  { config }: OpenedModel,
  { images, data, objectShare }: PlanRequest,
): Promise<KnownImages> {
  // A run that took every image does not say how many.
  const ofRun = config?.dataset.samples ?? undefined
  const count = data === undefined ? (images ?? ofRun) : await trainingImagesIn(data)
  return { ...(count !== undefined && { images: count }), ...(objectShare !== undefined && { objectShare }) }
}

/** Writes what a network costs that reads large images in parts. */
async function runRegionPlan(path: string | undefined, request: PlanRequest): Promise<void> {
  const { imageSize, patchSize, margin } = request
  if (request.measure)
    throw new UsageError('plan: --measure must be for the folder of a run, got --model routed')
  refuseImageFlags(request, '--model routed')
  if (path !== undefined) throw new UsageError(`plan: --model routed must come without a model, got ${path}`)
  if (patchSize !== undefined) {
    throw new UsageError(
      `plan: --patch-size must be left out with --model routed, which has ${flagOf('cellSize')}, got ${patchSize}`,
    )
  }
  if (!imageSize) throw new UsageError('plan: --model routed must come with --image-size, got none')
  await useBackend(request.backend ?? 'auto')
  const { cellSize, viewScale } = request
  const wanted = {
    imageSize,
    ...sizesFor([...imageSize, 3], {
      ...(cellSize !== undefined && { cellSize }),
      ...(viewScale !== undefined && { viewScale }),
    }),
    numExperts: request.experts ?? 1,
    patchesPerExpert: request.patchesPerExpert ?? 10,
    ...(margin !== undefined && { margin }),
  }
  const plan = asUsage(() => regionPlan(wanted), namingFlags('routed'))
  process.stdout.write(`${request.json ? JSON.stringify(plan) : regionPlanText(plan, wanted)}\n`)
}

/** Refuses what is only for saying what to expect of a mixture. */
function refuseImageFlags({ images, data, objectShare }: PlanRequest, flag: string): void {
  const given = Object.entries({ '--images': images, '--data': data, '--object-share': objectShare })
  for (const [name, value] of given) {
    if (value !== undefined) throw new UsageError(`plan: ${name} must be left out with ${flag}, got ${value}`)
  }
}

function checkPicture({ measure: isMeasured, picture }: PlanRequest): void {
  if (picture === undefined) return
  if (!isMeasured) throw new UsageError(`plan: --picture must come with --measure, got ${picture} alone`)
  if (existsSync(picture)) throw new UsageError(`plan: --picture must not be there yet, got ${picture}`)
}

/** Measures the network of a run over L, and writes the curve. */
async function measure(opened: OpenedModel, backend: string, { json, picture }: PlanRequest): Promise<void> {
  const { model, directory, config } = opened
  if (!config) {
    throw new UsageError(
      `plan: --measure must be for the folder of a run, got ${directory} (a model has no test images)`,
    )
  }
  try {
    mostPatchesPerExpert(model, 'plan: --measure')
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error
  }
  const interrupt = onInterrupt(() => process.stderr.write('Stopping; nothing is written ...\n'))
  try {
    const { test } = await loadData(config.dataset, config.seed)
    const curve = await measurePatches(model, test, interrupt.signal)
    if (picture !== undefined)
      await writeFileAtomic(picture, await chartSvg(patchesChartSpec(curve.points, curve)))
    process.stdout.write(
      json
        ? `${JSON.stringify({ run: directory, backend, ...curve })}\n`
        : curveText(directory, backend, curve),
    )
  } catch (error) {
    if (!interrupt.signal.aborted) throw error
    process.exitCode = interruptedExitCode
  } finally {
    interrupt.release()
  }
}

function curveText(directory: string, backend: string, curve: PatchesCurve): string {
  const { trained, most, testImages, batch, repeats, points } = curve
  const rows = points.map(({ patchesPerExpert: count, accuracy, milliseconds: ms }) => [
    `${count} of ${most}${count === trained ? ', as trained' : ''}`,
    percent(accuracy),
    ms.median.toFixed(2),
    `${ms.least.toFixed(2)} to ${ms.most.toFixed(2)}`,
  ])
  return (
    `${directory}, frozen, on backend ${backend}: accuracy on ${testImages} test images, ` +
    `time of a batch of ${batch} in ${repeats} repeats, all in turn in one process\n\n` +
    `${textTable(['patches kept', 'accuracy', 'ms, median', 'least to most'], rows)}\n`
  )
}

/** What a plan's text is written with. */
export interface PlanTextOptions {
  readonly experts: number
  readonly prospects: readonly PlaceProspect[]
  /** Of the terminal. */
  readonly columns?: number
}

/** A plan as tables and sentences for a person. */
export function planText(
  directory: string,
  plan: PatchMoEPlan,
  { experts, prospects, columns = Infinity }: PlanTextOptions,
): string {
  const { convolutions, best, parameters, multiplyAdds } = plan
  const fitting = convolutions.filter(({ mixture }) => mixture)
  const others = convolutions.filter(({ mixture }) => !mixture)
  const parts = [
    wrappedText(
      `${directory}: ${count(parameters)} parameters, ${count(multiplyAdds)} multiply-adds a sample`,
      columns,
    ),
    fitting.length > 0 && `${experts} experts can take the place of:`,
    fitting.length > 0 &&
      textTable(
        prospects.length > 0 ? [...COLUMNS, 'expect'] : COLUMNS,
        fitting.map(convolution => [
          ...row(convolution, plan),
          ...prospects.filter(({ path }) => path === convolution.path).map(expectation),
        ]),
        columns,
      ),
    others.length > 0 &&
      `They cannot take the place of:\n${[...byReason(others)].map(line => wrappedText(reasonLine(line), columns)).join('\n')}`,
    fitting.length === 0 && 'No convolution fits.',
    fitting.length > 0 && best === undefined && 'They save multiply-adds in none of these places.',
    best !== undefined && wrappedText(savings(plan, best), columns),
    prospects.length > 0 && wrappedText(prospectsText(plan, prospects), columns),
    best !== undefined && wrappedText(`To train that:\n  ${trainCommand(directory, plan, best)}`, columns),
  ]
  return parts.filter(part => part !== false).join('\n\n')
}

/** The most important columns first: a narrow terminal shows only those. */
const COLUMNS = [
  'convolution',
  'saved',
  'patches kept',
  'map',
  'multiply-adds',
  'with experts',
  'parameters',
  'with experts',
]

function row(convolution: PlannedConvolution, { best, ...plan }: PatchMoEPlan): string[] {
  const { path, map, parameters, multiplyAdds, mixture } = convolution
  const saved = percent(savedShare(convolution, plan.multiplyAdds))
  return [
    path,
    path === best ? `best ${saved}` : saved,
    `${mixture?.patchesPerExpert} of ${mixture?.patches}`,
    map.join('x'),
    count(multiplyAdds),
    count(mixture?.multiplyAdds ?? 0),
    count(parameters),
    count(mixture?.parameters ?? 0),
  ]
}

/** What to expect of the accuracy where it saves the most, and where training puts it unless told. */
function prospectsText({ best, chosen }: PatchMoEPlan, prospects: readonly PlaceProspect[]): string {
  const sentences = [...new Set([best, chosen])].flatMap(place =>
    prospects
      .filter(({ path }) => path === place)
      .map(({ path, expect, because }) => `  ${path}: ${answers[expect]}: ${because}.`),
  )
  return ['For the accuracy, by the study transfer (docs/choosing.md):', ...sentences].join('\n')
}

const answers: Readonly<Record<PlaceProspect['expect'], string>> = {
  'a gain': 'expect a gain',
  little: 'expect little',
  nothing: 'expect nothing here',
  depends: 'it depends on the object (--object-share)',
  unknown: 'not known',
}

/** What a row of the table says of the accuracy. */
function expectation({ expect, objects }: PlaceProspect): string {
  if (expect !== 'depends' || !objects) return expect
  const [from, to] = objects.map(share => (100 * share).toFixed(share < 0.1 ? 1 : 0))
  return `objects of ${from} to ${to} %`
}

function byReason(convolutions: readonly PlannedConvolution[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const { reason = '', path } of convolutions) groups.set(reason, [...(groups.get(reason) ?? []), path])
  return groups
}

function reasonLine([reason, paths]: [string, readonly string[]]): string {
  return `  ${paths.join(', ')}: ${reason}`
}

/** Where a mixture saves the most multiply-adds, and which convolution training replaces by default. */
function savings(plan: PatchMoEPlan, best: string): string {
  const saved = (path: string) => percent(savedShare(convolutionAt(plan, path), plan.multiplyAdds))
  const text = `They save the most in the place of ${best}: ${saved(best)} of the model's multiply-adds.`
  const { chosen } = plan
  if (chosen === undefined || chosen === best) return text
  return `${text} Without --layer, train takes the last place that fits, ${chosen}, with ${saved(chosen)}.`
}

function trainCommand(directory: string, plan: PatchMoEPlan, path: string): string {
  const { numExperts, patchSize, patchesPerExpert } = convolutionAt(plan, path).mixture
  const [height, width] = patchSize
  const size = height === width ? String(height) : `${height}x${width}`
  const mixture = ['--experts', numExperts, '--patch-size', size, '--patches-per-expert', patchesPerExpert]
  const training = ['pmoe', 'train', '--init', directory, '--dataset', 'NAME', '--layer', path]
  return shellCommand([...training, ...mixture.map(String)])
}

function convolutionAt(plan: PatchMoEPlan, path: string): Required<PlannedConvolution> {
  return plan.convolutions.find(convolution => convolution.path === path) as Required<PlannedConvolution>
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
