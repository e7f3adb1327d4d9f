import { z } from 'zod'

/** The names that settings of a run choose from. */
export const configChoices = {
  model: ['wrn', 'wrn-pmoe', 'two-layer', 'two-layer-pmoe', 'init'],
  variant: ['sparse', 'drop-in', 'authors'],
  border: ['zero', 'halo'],
  gate: ['softmax-selected', 'softmax-all', 'uniform'],
  gateScale: ['mean-one', 'none'],
  head: ['new', 'keep'],
  preActivation: ['none', 'relu', 'batch-norm-relu'],
  normalizer: ['selected', 'all'],
  optimizer: ['sgd', 'momentum', 'adam'],
  bnStatistics: ['recomputed', 'moving'],
  routerTraining: ['joint', 'separate'],
  backend: ['tensorflow-gpu', 'tensorflow', 'wasm', 'cpu'],
  precision: ['float32', 'bf16'],
  memory: ['normal', 'low'],
  crop: ['none', 'center178', 'center148', 'center108'],
  balance: ['class', 'group'],
} as const

const positive = z.int().min(1)
const size = z.union([positive, z.tuple([positive, positive])])
const gate = z.enum(configChoices.gate)

const mixture = z.strictObject({
  numExperts: positive,
  patchesPerExpert: positive,
  patchSize: size,
  kernelSize: size.exactOptional(),
  border: z.enum(configChoices.border).exactOptional(),
  gate: gate.exactOptional(),
  gateScale: z.enum(configChoices.gateScale).exactOptional(),
  preActivation: z.enum(configChoices.preActivation).exactOptional(),
  useBias: z.boolean().exactOptional(),
  routerTrainable: z.boolean().exactOptional(),
})

const wideResNet = z.strictObject({
  kind: z.literal('wide-resnet'),
  depth: positive,
  widenFactor: positive,
  batchNormMomentum: z.number().min(0).lt(1).exactOptional(),
  oneLogit: z.boolean().exactOptional(),
  variant: z.enum(configChoices.variant).exactOptional(),
  pmoe: mixture.exactOptional(),
})

const twoLayer = z.strictObject({
  kind: z.literal('two-layer'),
  patchSize: positive,
  numExperts: positive,
  patchesPerExpert: positive,
  hiddenUnits: positive,
  gate,
  normalizer: z.enum(configChoices.normalizer),
  routerTrainable: z.boolean().exactOptional(),
  oneLogit: z.boolean().exactOptional(),
})

/** A network that somebody has trained before. */
const initial = z.strictObject({
  kind: z.literal('init'),
  /** Folder of the run or the model that it comes from; the run folder keeps what it started as. */
  from: z.string().min(1),
  /** Whether its head starts anew, where that was asked for; else its classes decide. */
  head: z.enum(configChoices.head).exactOptional(),
  /** The mixture that took the place of a convolution. */
  insert: z
    .strictObject({
      layer: z.string().min(1).exactOptional(),
      numExperts: positive,
      patchesPerExpert: positive.exactOptional(),
      patchSize: size.exactOptional(),
      border: z.enum(configChoices.border).exactOptional(),
      gate: gate.exactOptional(),
      gateScale: z.enum(configChoices.gateScale).exactOptional(),
    })
    .exactOptional(),
})

const training = z.strictObject({
  epochs: positive,
  batchSize: positive,
  optimizer: z.enum(configChoices.optimizer),
  learningRate: z.number().positive(),
  momentum: z.number().min(0).lt(1).exactOptional(),
  bnStatistics: z.enum(configChoices.bnStatistics),
  /** Routers with the experts, or before them and then frozen; joint where it is not set. */
  routerTraining: z.enum(configChoices.routerTraining).exactOptional(),
  routerEpochs: positive.exactOptional(),
  routerBatchSize: positive.exactOptional(),
  routerLearningRate: z.number().positive().exactOptional(),
  /** Measures with each evaluation where the experts look. */
  routingMetrics: z.boolean().exactOptional(),
  earlyStop: positive.exactOptional(),
  checkpointSteps: positive.exactOptional(),
  /** Names or paths of layers that are not trained. */
  freeze: z.array(z.string().min(1)).min(1).exactOptional(),
  /** Learning rates of some layers. */
  layerRates: z
    .array(z.strictObject({ pattern: z.string().min(1), learningRate: z.number().positive() }))
    .min(1)
    .exactOptional(),
  /** How the patches that experts keep become fewer from epoch to epoch. */
  annealPatches: z.strictObject({ from: positive, to: positive, epochs: positive }).exactOptional(),
})

const theory = z.strictObject({
  numClasses: positive.exactOptional(),
  patchSide: positive.exactOptional(),
  patternSets: positive.exactOptional(),
  deltaD: z.number().exactOptional(),
  deltaR: z.number().exactOptional(),
  radius: z.number().exactOptional(),
  lStar: positive.exactOptional(),
})

const classNumbers = z.array(z.int().min(0)).min(1)

const unreadableShare = z.templateLiteral([z.number().min(0).max(100), '%'])

/** What some datasets can be told; every one of them is an option of `DatasetOptions`, or of the stream of batches. */
const datasetSettings = {
  imageSize: z.tuple([positive, positive]).exactOptional(),
  crop: z.enum(configChoices.crop).exactOptional(),
  /** The sample value that becomes 255, of images of more than 8 bits. */
  whiteLevel: z.number().positive().exactOptional(),
  /** Images that may be unreadable and are then left out: a number, or a share of all. */
  maxUnreadable: z.union([z.int().min(0), unreadableShare]).exactOptional(),
  gridSide: positive.exactOptional(),
  targets: classNumbers.exactOptional(),
  distractors: classNumbers.exactOptional(),
  /** Folder of the images that lie behind others. */
  backgrounds: z.string().min(1).exactOptional(),
  theory: theory.exactOptional(),
  /** Mirrors training images at random. */
  flip: z.boolean().exactOptional(),
  /** Pads training images by so many pixels and cuts a window out of them at random. */
  padCrop: positive.exactOptional(),
  balance: z.enum(configChoices.balance).exactOptional(),
}

/** What `config.json` of a run folder must hold. */
export const runConfigSchema = z.strictObject({
  dataset: z.strictObject({
    name: z.string().min(1),
    /** Folder of the user's files; null for the samples of the package. */
    data: z.string().min(1).nullable(),
    /** Training images; null for all there are. */
    samples: positive.nullable(),
    /** Test images; null for the dataset's own number. */
    testSamples: positive.nullable(),
    classNames: z.array(z.string()).min(2),
    groupNames: z.array(z.string()).min(2).exactOptional(),
    ...datasetSettings,
  }),
  model: z.strictObject({
    name: z.enum(configChoices.model),
    options: z.discriminatedUnion('kind', [wideResNet, twoLayer, initial]),
  }),
  training,
  /** Initial weights, the order of the images, and composed images are drawn from it. */
  seed: z.int(),
  backend: z.enum(configChoices.backend),
  precision: z.enum(configChoices.precision).default('float32'),
  memory: z.enum(configChoices.memory).default('normal'),
  versions: z.strictObject({
    patchMoe: z.string(),
    tfjs: z.string(),
    node: z.string(),
    tensorflow: z.string().exactOptional(),
  }),
})

type Immutable<T> = T extends object ? { readonly [Key in keyof T]: Immutable<T[Key]> } : T

/** Everything that is needed to repeat a run. */
export type RunConfig = Immutable<z.infer<typeof runConfigSchema>>

/** One setting in which two configurations differ; undefined where one of them lacks it. */
export interface ConfigDifference {
  /** Path of the setting, `training.learningRate`. */
  readonly key: string
  readonly was: unknown
  readonly asked: unknown
}

/**
 * Reads the text of a `config.json`.
 *
 * @param path of the file, for errors
 * @throws Error naming the path and the position where it is not JSON; RangeError naming the keys that are wrong
 */
export function parseRunConfig(text: string, path: string): RunConfig {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new Error(
      `${path}: must be JSON, got ${text.length} characters that are not: ${(cause as Error).message}`,
      {
        cause,
      },
    )
  }
  return runConfig(json, path)
}

/**
 * Checks that a value is the configuration of a run.
 *
 * @param where the file or the caller, for errors
 * @throws RangeError naming every key that is wrong
 */
export function runConfig(value: unknown, where: string): RunConfig {
  const result = runConfigSchema.safeParse(value)
  if (result.success) return result.data as RunConfig
  const issues = result.error.issues.map(issue => `${issue.path.join('.') || 'the whole'}: ${issue.message}`)
  throw new RangeError(`${where}: must be the configuration of a run, got ${issues.join('; ')}`, {
    cause: result.error,
  })
}

/** The settings in which two configurations differ, in the order of the first; versions do not count. */
export function configDifferences(was: RunConfig, asked: RunConfig): ConfigDifference[] {
  const before = new Map(settings(was))
  const after = new Map(settings(asked))
  const keys = new Set([...before.keys(), ...after.keys()])
  return [...keys].flatMap(key => {
    const difference = { key, was: before.get(key), asked: after.get(key) }
    return JSON.stringify(difference.was) === JSON.stringify(difference.asked) ? [] : [difference]
  })
}

/**
 * Settings that change nothing of what was computed before: how long a run trains, where its files lie, and how many of
 * them may be unreadable.
 */
export const lengthSetting = 'training.epochs'
export const placeSettings: readonly string[] = [
  'dataset.data',
  'dataset.backgrounds',
  'dataset.maxUnreadable',
]

/**
 * The configuration that a checkpoint belongs to, as text: equal for runs that would compute the same, however many
 * epochs they last and wherever their files lie.
 */
export function configKey(config: RunConfig): string {
  const free = [lengthSetting, ...placeSettings]
  return JSON.stringify(Object.fromEntries(settings(config).filter(([key]) => !free.includes(key))))
}

/** Every setting with its path, `[training.epochs, 30]`; arrays are values. */
function settings(config: object, prefix = ''): [string, unknown][] {
  return Object.entries(config).flatMap(([key, value]): [string, unknown][] => {
    if (prefix === '' && key === 'versions') return []
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[prefix + key, value]]
    return settings(value, `${prefix}${key}.`)
  })
}
