import type * as tfl from '@tensorflow/tfjs-layers'
import { type BackendName, useBackend } from '../../../src/backend/choose.js'
import { shellCommand } from '../../../src/cluster/shell-command.js'
import { checkPlace, placeExport } from '../../../src/files/export-output.js'
import { fileSystem, modelFolder } from '../../../src/files/model-files.js'
import type { Gate, GateScale } from '../../../src/layers/moe/gates.js'
import { type WideResNetVariant, wideResNet } from '../../../src/models/wide-resnet.js'
import { openModel, takingWholeImages } from '../../run/opened-model.js'
import { loadWeightsFile, loadWholeModel, type NameMap, readNameMap } from '../../run/weights-file.js'
import { asUsage, UsageError } from '../../terminal/usage-error.js'

/** The flags of `pmoe import`. */
export interface ImportRequest extends NetworkFlags {
  readonly out: string
  readonly into?: string
  readonly names?: string
  readonly backend?: BackendName | 'auto'
  readonly force?: boolean
  readonly json?: boolean
}

/** The flags that say which network is to be built. */
interface NetworkFlags {
  readonly model?: 'wrn' | 'wrn-pmoe'
  readonly imageSize?: [number, number]
  readonly channels?: number
  readonly classes?: number
  readonly depth?: number
  readonly widen?: number
  readonly variant?: WideResNetVariant
  readonly experts?: number
  readonly patchesPerExpert?: number
  readonly patchSize?: number | [number, number]
  readonly kernelSize?: number
  readonly gate?: Gate
  readonly gateScale?: GateScale
}

const flagNames: Readonly<Record<Exclude<keyof NetworkFlags, 'model'>, string>> = {
  imageSize: '--image-size',
  channels: '--channels',
  classes: '--classes',
  depth: '--depth',
  widen: '--widen',
  variant: '--variant',
  experts: '--experts',
  patchesPerExpert: '--patches-per-expert',
  patchSize: '--patch-size',
  kernelSize: '--kernel-size',
  gate: '--gate',
  gateScale: '--gate-scale',
}
const mixtureFlags = [
  'variant',
  'experts',
  'patchesPerExpert',
  'patchSize',
  'kernelSize',
  'gate',
  'gateScale',
] as const

/** Puts the weights of a file into a network, or takes the network that the file holds, and saves it. */
export async function runImport(file: string, request: ImportRequest): Promise<void> {
  checkFlags(request)
  const target = { where: 'import', path: request.out, folder: modelFolder, force: request.force ?? false }
  await checkPlace(target)
  const names = request.names === undefined ? undefined : await readNameMap(request.names)
  const { name: backend } = await useBackend(request.backend ?? 'auto')
  const { model, done } = await importedModel(file, request, names)
  await placeExport(target, async temporary => void (await model.save(fileSystem(temporary))))
  report(model, file, done, backend, request)
}

async function importedModel(
  file: string,
  request: ImportRequest,
  names: NameMap | undefined,
): Promise<{ readonly model: tfl.LayersModel; readonly done: string }> {
  if (request.into === undefined && request.model === undefined && !names) {
    const whole = await loadWholeModel(file)
    if (whole) return { model: whole.model, done: `Made ${whole.model.name} of ${whole.source}` }
  }
  if (request.into === undefined && request.model === undefined) {
    throw new UsageError(
      `import: a network must be given by --into or by --model, got neither${names ? '' : ` (${file} holds weights only)`}`,
    )
  }
  // A saved network is of use by itself where it takes whole images.
  const model =
    request.into === undefined
      ? builtNetwork(request)
      : takingWholeImages(await openModel(request.into)).model
  return { model, done: `Put ${await loadWeightsFile(model, file, names)} into ${model.name}` }
}

function checkFlags(request: ImportRequest): void {
  const { into, model } = request
  if (into !== undefined && model !== undefined) {
    throw new UsageError('import: a network must be given by --into or by --model, got both')
  }
  const givenFlags = (Object.keys(flagNames) as (keyof typeof flagNames)[]).filter(
    key => request[key] !== undefined,
  )
  const misplaced =
    model === undefined ? givenFlags : model === 'wrn' ? givenFlags.filter(key => isMixture(key)) : []
  if (misplaced[0]) {
    const [requiredFlag, got] =
      model !== undefined
        ? ['--model wrn-pmoe', '--model wrn']
        : ['--model', into === undefined ? 'no --model' : '--into']
    throw new UsageError(`import: ${flagNames[misplaced[0]]} must be used with ${requiredFlag}, got ${got}`)
  }
}

function isMixture(key: string): boolean {
  return (mixtureFlags as readonly string[]).includes(key)
}

function builtNetwork(flags: NetworkFlags): tfl.LayersModel {
  const [height, width] = required(flags, 'imageSize')
  const { channels = 3, depth, widen, kernelSize, gate, gateScale } = flags
  const base = {
    inputShape: [height, width, channels] as const,
    numClasses: required(flags, 'classes'),
    ...(depth !== undefined && { depth }),
    ...(widen !== undefined && { widenFactor: widen }),
  }
  if (flags.model === 'wrn') return asUsage(() => wideResNet(base))
  const pmoe = {
    numExperts: required(flags, 'experts'),
    patchesPerExpert: required(flags, 'patchesPerExpert'),
    patchSize: required(flags, 'patchSize'),
    ...(kernelSize !== undefined && { kernelSize }),
    ...(gate && { gate }),
    ...(gateScale && { gateScale }),
  }
  return asUsage(() => wideResNet({ ...base, pmoe, variant: flags.variant ?? 'authors' }))
}

function required<K extends keyof typeof flagNames>(
  flags: NetworkFlags,
  key: K,
): NonNullable<NetworkFlags[K]> {
  const value = flags[key]
  if (value !== undefined) return value
  throw new UsageError(`import: ${flagNames[key]} must be given with --model ${flags.model}, got none`)
}

function report(
  model: tfl.LayersModel,
  file: string,
  done: string,
  backend: string,
  { out, json }: ImportRequest,
): void {
  const parameters = model.countParams()
  if (json) {
    process.stdout.write(`${JSON.stringify({ file, model: model.name, parameters, out, backend })}\n`)
    return
  }
  process.stdout.write(`${done}, ${parameters.toLocaleString('en-US')} parameters; saved in ${out}. To go on:
  ${shellCommand(['pmoe', 'export', out, '--format', 'onnx', '--out', `${out}.onnx`])}
  ${shellCommand(['pmoe', 'train', '--init', out, '--dataset', 'NAME'])}
`)
}
