import type { ColorJitter } from '../../../src/data/augmentation/colour.js'
import { operations } from '../../../src/data/augmentation/operations.js'
import type { RandAugmentOptions } from '../../../src/data/augmentation/policies.js'
import {
  type ForbiddenOption,
  forbiddenOptions,
  presetVariations,
  type TaskBound,
  type Variations,
} from '../../../src/data/augmentation/presets.js'
import type { ImageDataset } from '../../../src/data/datasets/dataset.js'
import type { PlannedRun } from '../../../src/run/run-config.js'
import { augmentationSettings } from '../../../src/run/settings/augmentation.js'
import { flagOf } from '../train-settings.js'

type AugmentationSetting = keyof typeof augmentationSettings

type OptionName = Exclude<AugmentationSetting, 'augment' | 'workers'>

/** The settings of a run that say how training images are varied. */
export type AugmentationRequest = Pick<PlannedRun['dataset'], AugmentationSetting>

/** How a run varies its training images. */
export interface AskedAugmentation {
  /** Without the seed. */
  readonly variations: Variations
  /** What the user should know of it, a sentence each. */
  readonly notes: readonly string[]
}

/** Settings that choose several others, or where they are computed. */
const others: ReadonlySet<string> = new Set(['augment', 'workers'] satisfies AugmentationSetting[])

/** The settings that are options of `augmented`. */
const optionNames = (Object.keys(augmentationSettings) as AugmentationSetting[]).filter(
  (name): name is OptionName => !others.has(name),
)

/**
 * What a run's settings ask for: the named augmentation without what the task of the dataset forbids, changed by the single
 * settings, which count as they are.
 *
 * @param entry the dataset
 * @param classNames of its images
 * @throws RangeError when colours of floats are to be varied
 */
export function askedAugmentation(
  request: AugmentationRequest,
  entry: Pick<ImageDataset, 'name' | 'values' | 'taskForbids'>,
  classNames: readonly string[] = [],
): AskedAugmentation {
  const { augment = 'none' } = request
  const forbids = forbiddenBy(entry, classNames)
  const single = singleSettings(request)
  const { variations: named, leftOut } = presetVariations(augment, forbids)
  const variations = {
    ...(Object.hasOwn(single, 'trivialAugment') ? withoutPolicy(named) : named),
    ...single,
  }
  if (entry.values === 'floats') checkFloats(entry.name, variations, single, augment)
  const missing = leftOut.filter(({ option }) => !Object.hasOwn(single, option)).map(boundText)
  const risky = forbiddenOptions(single, forbids).map(boundText)
  const notes = [
    ...(missing.length > 0
      ? [`--augment ${augment} leaves out for ${entry.name}: ${missing.join(', ')}`]
      : []),
    ...(risky.length > 0 ? [`May change what images of ${entry.name} show: ${risky.join(', ')}`] : []),
  ]
  return { variations, notes }
}

/** Whoever decides on TrivialAugment wants nothing in its place. */
function withoutPolicy({ randAugment: _, ...others }: Variations): Variations {
  return others
}

/** How images are varied, as the flags that ask for it one by one: `--flip`, `--jitter brightness=0.4,hue=0.1`. */
export function augmentationFlags(variations: Variations): string[] {
  return optionNames.flatMap(name => {
    const value = variations[name]
    if (!value) return []
    return value === true ? [flagOf(name)] : [`${flagOf(name)} ${flagValue(value)}`]
  })
}

function flagValue(value: number | ColorJitter | RandAugmentOptions): string {
  if (typeof value === 'number') return String(value)
  if ('operations' in value) return `${value.operations}:${value.magnitude}`
  return Object.entries(value)
    .map(([part, strength]) => `${part}=${strength}`)
    .join(',')
}

/** A dataset without augmentation. */
export function withoutAugmentation<Request extends PlannedRun['dataset']>(request: Request): Request {
  const entries = Object.entries(request).filter(([name]) => !Object.hasOwn(augmentationSettings, name))
  return Object.fromEntries(entries) as Request
}

const reasons: Readonly<Record<TaskBound, string>> = {
  mirroring: 'mirrored, a thing is another or none',
  turning: 'turned far, a thing is another or none',
  cutting: 'what decides the class may be cut off',
}

function boundText({ option, bound }: ForbiddenOption): string {
  return `${flagOf(option as OptionName)} (${reasons[bound]})`
}

/** Folders whose classes are digits hold digits. */
function forbiddenBy({ taskForbids = [] }: Pick<ImageDataset, 'taskForbids'>, classNames: readonly string[]) {
  const areDigits = classNames.length > 1 && classNames.every(name => /^\d$/.test(name))
  return areDigits ? [...new Set([...taskForbids, 'mirroring', 'turning'] as const)] : taskForbids
}

function singleSettings(request: AugmentationRequest): Variations {
  return Object.fromEntries(
    optionNames.flatMap(name => (request[name] === undefined ? [] : [[name, request[name]]])),
  )
}

/** @throws RangeError when colours of floats are to be varied */
function checkFloats(dataset: string, variations: Variations, single: Variations, augment: string): void {
  const colours = operations.filter(({ takesColours }) => takesColours)
  // Which options are on does not depend on the shape.
  const colour = colours.find(operation => operation.drawing(variations, [1, 1, 1]))?.options[0]
  if (colour === undefined) return
  const isColour = (name: string) => colours.some(({ options }) => options.some(option => option === name))
  const possible = optionNames.filter(name => !isColour(name)).map(flagOf)
  const asked = Object.hasOwn(single, colour) ? flagOf(colour as OptionName) : `--augment ${augment}`
  throw new RangeError(
    `${asked} must be used with pixels, got ${dataset}, whose values are floats (${possible.join(', ')} take them)`,
  )
}
