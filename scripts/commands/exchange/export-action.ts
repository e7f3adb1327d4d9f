import { type BackendName, useBackend } from '../../../src/backend/choose.js'
import type { ImageSet } from '../../../src/data/image-set.js'
import type { ImageStream } from '../../../src/data/image-stream.js'
import type { FeedingOptions } from '../../../src/export/feeding.js'
import { checkPlace, placeExport } from '../../../src/files/export-output.js'
import { calibrate } from '../../../src/inference/calibration.js'
import {
  firstPatchesPerExpert,
  mostPatchesPerExpert,
  restorePatchesPerExpert,
  setPatchesPerExpert,
} from '../../../src/layers/moe/routing-layers.js'
import { recognisedScaling } from '../../../src/models/input-scaling.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import { calibrationBatches } from '../../run/calibration-images.js'
import { type ExportAccuracy, exportAccuracy } from '../../run/export-accuracy.js'
import type {
  ExportedModel,
  ExportFormatEntry,
  QUANTIZATIONS,
  Written,
} from '../../run/export-formats/export-format.js'
import {
  type ExportFormatTable,
  exportFormat,
  exportFormats,
  formatNames,
} from '../../run/export-formats/export-formats.js'
import { modelRuntime, type Numbers, type Runtime } from '../../run/export-formats/model-runtime.js'
import {
  compare,
  comparisonBytes,
  comparisonFloats,
  type Parity,
  TOLERANCE,
} from '../../run/export-parity.js'
import { type Latency, latency } from '../../run/measuring/export-latency.js'
import { isTrainedOnFloats, type OpenedModel, takingWholeImages } from '../../run/opened-model.js'
import { loadData } from '../../run/run-data.js'
import { askedModel, type PlainModelRequest } from '../../run/transfer/plain-model.js'
import { interruptedExitCode, onInterrupt } from '../../terminal/interrupt.js'
import { packageVersion } from '../../terminal/package-version.js'
import { textTable } from '../../terminal/text-table.js'
import { percent } from '../../terminal/training-log.js'
import { UsageError } from '../../terminal/usage-error.js'

/** The flags of `pmoe export`. */
export interface ExportRequest extends FeedingOptions, PlainModelRequest {
  /** The name of a format of the table. */
  readonly format: string
  readonly out: string
  readonly quantize?: (typeof QUANTIZATIONS)[number]
  readonly calibrate?: readonly string[]
  readonly backend?: BackendName | 'auto'
  readonly verify: boolean
  readonly force?: boolean
  readonly json?: boolean
}

/** What running an export showed. */
interface Verified {
  /** The program that ran it. */
  readonly runtime: string
  readonly parity: Parity
  readonly accuracy?: ExportAccuracy
  readonly latency: readonly Latency[]
}

/**
 * Writes a model in another format, checks it by running it, and writes the result.
 *
 * @param table the formats that can be asked for
 */
export async function runExport(
  path: string,
  request: ExportRequest,
  table: ExportFormatTable = exportFormats,
): Promise<void> {
  checkFlags(request, table)
  const { out, force = false } = request
  const entry = exportFormat(request.format, table)
  const folder = await entry.folder?.()
  const target = { where: 'export', path: out, force, ...(folder && { folder }) }
  await checkPlace(target)
  const backend = await useBackend(request.backend ?? 'auto')
  const opened = takingWholeImages(await askedModel(path, 'export', { ...request, renamesClasses: true }))
  checkOpened(opened, request)
  const facts = factsOf(opened)
  const { layout, pixels, variablePatches } = request
  const feeding = {
    ...(layout && { layout }),
    ...(pixels && { pixels }),
    ...(variablePatches && { variablePatches }),
  }
  const interrupt = onInterrupt(() => process.stderr.write('Stopping; nothing is written ...\n'))
  try {
    const quantize = await quantization(opened, request)
    const result = await placeExport(target, async temporary => {
      const written = await entry.write(opened.model, temporary, {
        ...feeding,
        facts,
        ...(quantize && { quantize }),
      })
      interrupt.signal.throwIfAborted()
      const checked = request.verify
        ? await verify({
            name: request.format,
            entry,
            exported: { path: temporary, model: opened.model, backend },
            values: isTrainedOnFloats(opened) ? 'floats' : 'pixels',
            feeding,
            tolerance: request.quantize ? Infinity : TOLERANCE,
            test:
              request.quantize && opened.config && !request.calibrate
                ? await testImages(opened.config)
                : undefined,
            signal: interrupt.signal,
          })
        : 'as asked for'
      return { written, checked }
    })
    report(opened, request, entry, result.written, result.checked)
  } catch (error) {
    if (!interrupt.signal.aborted) throw error
    process.exitCode = interruptedExitCode
  } finally {
    interrupt.release()
  }
}

/** Refuses what a format cannot say of this model. */
function checkOpened(opened: OpenedModel, request: ExportRequest): void {
  if (request.quantize && opened.config?.model.options.kind === 'routed') {
    throw new UsageError(
      `export: --quantize must be left out for a run of model routed, got ${request.quantize} (its images are read in parts)`,
    )
  }
  checkPixels(opened, request)
  if (request.variablePatches) checkVariablePatches(opened.model)
}

/** How numbers are rounded: for 8 bits after a look at how large they get. */
async function quantization(opened: OpenedModel, request: ExportRequest) {
  const { quantize, calibrate: images, variablePatches } = request
  if (quantize !== 'int8') return quantize
  return calibrate(opened.model, calibrationBatches(opened, images), {
    ...(variablePatches && { variablePatches }),
  })
}

function checkFlags(request: ExportRequest, table: ExportFormatTable): void {
  const { layout, pixels, quantize, calibrate, variablePatches } = request
  refuseFlags(
    { 'variable-patches': variablePatches },
    request.format,
    table,
    entry => entry.takesVariablePatches === true,
  )
  refuseFlags({ layout, pixels }, request.format, table, entry => entry.takesFeeding)
  if (quantize) {
    const flags = { [`quantize ${quantize}`]: quantize }
    refuseFlags(flags, request.format, table, entry => entry.quantizations?.includes(quantize) === true)
  }
  if (calibrate && quantize !== 'int8') {
    const got = quantize ? `--quantize ${quantize}` : `${calibrate.join(' ')} alone`
    throw new UsageError(`export: --calibrate must come with --quantize int8, got ${got}`)
  }
}

function checkVariablePatches(model: OpenedModel['model']): void {
  try {
    mostPatchesPerExpert(model, 'export: --variable-patches')
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error
  }
}

/** Refuses flags with a format that does not take them. */
function refuseFlags(
  flags: Readonly<Record<string, unknown>>,
  format: string,
  table: ExportFormatTable,
  takes: (entry: ExportFormatEntry) => boolean,
): void {
  if (takes(exportFormat(format, table))) return
  const formats = new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(formatNames(table, takes))
  for (const [flag, value] of Object.entries(flags)) {
    if (value !== undefined) {
      throw new UsageError(`export: --${flag} must be used with ${formats}, got --format ${format}`)
    }
  }
}

/** The metadata of an export: version, classes, and the preprocessing of the images. */
function factsOf({ model, config, classNames }: OpenedModel) {
  const scaling = recognisedScaling(model)
  return {
    version: packageVersion(),
    ...(classNames && { classNames }),
    ...(config && { preprocessing: preprocessingOf(config) }),
    ...(scaling?.isInside && { inputScaling: scaling.scaling }),
  }
}

function preprocessingOf(config: RunConfig): string {
  return isTrainedOnFloats({ config })
    ? `none: numbers as dataset ${config.dataset.name} draws them`
    : 'pixels 0..255, RGB or grey, divided by 255'
}

/** Bytes are no numbers as a dataset of floats has them. */
function checkPixels({ model, config }: OpenedModel, { pixels }: ExportRequest): void {
  if (pixels !== 'uint8' || !config || !isTrainedOnFloats({ config })) return
  throw new UsageError(
    `export: --pixels must be float32 for ${model.name}, which was trained on the floats of ${config.dataset.name}, ` +
      'got uint8',
  )
}

/** An export that is to be compared with its model. */
interface Verification {
  /** Name of the format. */
  readonly name: string
  readonly entry: ExportFormatEntry
  readonly exported: ExportedModel
  /** What the model was trained on. */
  readonly values: 'pixels' | 'floats'
  readonly feeding: FeedingOptions
  /** How far outputs may be from the model's own; above it, or with another class, the export is refused. */
  readonly tolerance: number
  /** Where an export need not answer exactly as the model: labelled images that both are asked about. */
  readonly test: ImageSet | ImageStream | undefined
  readonly signal: AbortSignal
}

/** @returns the reason, as a sentence, where nothing can run the format */
async function verify({
  name,
  entry,
  exported: { model, ...location },
  values,
  feeding,
  tolerance,
  test,
  signal,
}: Verification): Promise<Verified | string> {
  const original = modelRuntime(model, location.backend)
  const loaded = await entry.load({ model, ...location })
  if (typeof loaded === 'string') return loaded
  const exported = feeding.variablePatches ? withKeptPatches(loaded, model) : loaded
  try {
    const inputs = await (values === 'floats' ? comparisonFloats(model) : comparisonBytes(model))
    const parity = await parityOf(original, exported, inputs, feeding, model)
    signal.throwIfAborted()
    const isEqual = parity.otherClass === 0 || tolerance === Infinity
    if (!(parity.difference <= tolerance) || !isEqual) {
      throw new Error(
        `export: ${name} must answer as the model does within ${tolerance}, got a difference of ` +
          `${parity.difference.toExponential(1)} and another class for ${parity.otherClass} of ${parity.samples} ` +
          `samples in ${exported.name} (nothing is written; --no-verify writes without running)`,
      )
    }
    const accuracy = test && (await exportAccuracy(original, exported, test, feeding, signal))
    const times: Latency[] = []
    for (const batch of [1, 64]) {
      times.push(await latency(original, exported, inputs, feeding, batch, signal))
    }
    return { runtime: exported.name, parity, ...(accuracy && { accuracy }), latency: times }
  } finally {
    await exported.dispose()
  }
}

/** Of an export with L as an input, over the L of training, the fewest and the most: the worst of all. */
async function parityOf(
  original: Runtime,
  exported: Runtime,
  inputs: readonly Numbers[],
  feeding: FeedingOptions,
  model: OpenedModel['model'],
): Promise<Parity> {
  if (!feeding.variablePatches) return compare(original, exported, inputs, feeding)
  const restore = restorePatchesPerExpert(model)
  const parities: Parity[] = []
  try {
    const most = mostPatchesPerExpert(model, 'export')
    for (const count of new Set([1, firstPatchesPerExpert(model), most])) {
      setPatchesPerExpert(model, count, 'export')
      parities.push(await compare(original, exported, inputs, feeding))
    }
  } finally {
    restore()
  }
  return {
    samples: parities.reduce((sum, { samples }) => sum + samples, 0),
    difference: Math.max(...parities.map(({ difference }) => difference)),
    otherClass: parities.reduce((sum, { otherClass }) => sum + otherClass, 0),
  }
}

/** An export that takes L as its last input, asked with the L that the model has. */
function withKeptPatches(exported: Runtime, model: OpenedModel['model']): Runtime {
  return {
    ...exported,
    run: inputs =>
      exported.run([...inputs, { shape: [], data: Int32Array.of(firstPatchesPerExpert(model)) }]),
  }
}

function report(
  { model, directory }: OpenedModel,
  { format, out, json }: ExportRequest,
  { title, unit }: ExportFormatEntry,
  { bytes, parts, inFloat, unquantizedBytes }: Written,
  checked: Verified | string,
): void {
  const total = Object.values(parts).reduce((sum, count) => sum + count, 0)
  if (json) {
    const verified =
      typeof checked === 'string' ? { verified: false, reason: checked } : { verified: true, ...checked }
    const result = {
      model: directory,
      format,
      out,
      bytes,
      ...(unquantizedBytes !== undefined && { unquantizedBytes }),
      [unit]: parts,
      ...(inFloat && { inFloat }),
      ...verified,
    }
    process.stdout.write(`${JSON.stringify(result)}\n`)
    return
  }
  const kinds = Object.entries(parts).map(([name, count]) => `${count} ${name}`)
  const before =
    unquantizedBytes === undefined ? '' : ` (${unquantizedBytes.toLocaleString('en-US')} in float32)`
  const lines = [
    `${model.name} (${directory}) as ${title}: ${out}, ${bytes.toLocaleString('en-US')} bytes${before}, ${total} ${unit}`,
    `  ${kinds.join(', ')}`,
    ...(inFloat && inFloat.length > 0 ? [inFloatLine(inFloat)] : []),
    ...(typeof checked === 'string' ? [`Not run: ${checked}.`] : verifiedLines(checked)),
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** What stays in float32. */
function inFloatLine(inFloat: NonNullable<Written['inFloat']>): string {
  return `  in float32: ${inFloat.map(({ layer, why }) => `${layer} (${why})`).join(', ')}`
}

function accuracyLine({ images, model, exported, agreement }: ExportAccuracy): string {
  return (
    `Of ${images} test images the model puts ${percent(model)} into the right class, the export ${percent(exported)}; ` +
    `both say the same of ${percent(agreement)}.`
  )
}

/** Labelled images that the run was not trained on. */
async function testImages(config: RunConfig): Promise<ImageSet | ImageStream> {
  return (await loadData(config.dataset, config.seed)).test
}

function verifiedLines({ runtime, parity, accuracy, latency }: Verified): string[] {
  const rows = latency.map(({ batch, original, exported }) => [
    `batch of ${batch}`,
    original.toFixed(2),
    exported.toFixed(2),
    (exported / original).toFixed(2),
  ])
  return [
    `Run by ${runtime}: on ${parity.samples} samples outputs differ by ${parity.difference.toExponential(1)} at most, ` +
      `the largest is the same in ${parity.otherClass === 0 ? 'all' : parity.samples - parity.otherClass}.`,
    ...(accuracy ? [accuracyLine(accuracy)] : []),
    '',
    textTable(['ms, median, in turn', 'model', 'export', 'export / model'], rows),
  ]
}
