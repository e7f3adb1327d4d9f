import type { Augmentation } from './augmentation.js'

/** What augmentation does that the task of a dataset may forbid. */
export type TaskBound = 'mirroring' | 'turning' | 'cutting'

/** Augmentation without what makes it a function. */
export type Variations = Omit<Augmentation, 'seed'>

/** Names of whole augmentations. */
export const PRESETS = ['none', 'light', 'strong'] as const
export type Preset = (typeof PRESETS)[number]

/** Turns by more than so many degrees make something else of an upright thing. */
const UPRIGHT_DEGREES = 30

/** What each option does, where that can be more than another picture of the same thing. */
const bounds: Readonly<Partial<Record<keyof Variations, (variations: Variations) => readonly TaskBound[]>>> =
  {
    randomCrop: () => ['cutting'],
    flip: () => ['mirroring'],
    verticalFlip: () => ['mirroring'],
    rotate: ({ rotate = 0 }) => (rotate > UPRIGHT_DEGREES ? ['turning'] : []),
    trivialAugment: () => ['turning', 'cutting'],
    erase: () => ['cutting'],
    cutmix: () => ['cutting'],
  }

/** An option, and the first thing that it does and a task forbids. */
export interface ForbiddenOption {
  readonly option: keyof Variations
  readonly bound: TaskBound
}

/** The options that are on and do what a task forbids. */
export function forbiddenOptions(
  variations: Variations,
  forbids: readonly TaskBound[],
): readonly ForbiddenOption[] {
  return (Object.keys(bounds) as (keyof Variations)[]).flatMap(option => {
    if (!variations[option]) return []
    const bound = bounds[option]?.(variations).find(each => forbids.includes(each))
    return bound ? [{ option, bound }] : []
  })
}

const presets: Readonly<Record<Preset, Variations>> = {
  none: {},
  light: { randomCrop: 0.6, flip: true, jitter: { brightness: 0.2, contrast: 0.2, saturation: 0.2 } },
  strong: { randomCrop: 0.25, flip: true, trivialAugment: true, erase: 0.25 },
}

/** What stands in the place of TrivialAugment, where turning or cutting is forbidden. */
const gentle = { randAugment: { operations: 2, magnitude: 9 } } as const

/**
 * A whole augmentation, without what the task forbids. None mixes images: mixing suits long training alone.
 *
 * @returns its options, and those that are left out for the task
 */
export function presetVariations(
  name: Preset,
  forbids: readonly TaskBound[] = [],
): { readonly variations: Variations; readonly leftOut: readonly ForbiddenOption[] } {
  const variations = presets[name]
  const leftOut = forbiddenOptions(variations, forbids)
  const isLeftOut = (option: string) => leftOut.some(each => each.option === option)
  const allowed = Object.entries(variations).filter(([option]) => !isLeftOut(option))
  return {
    variations: { ...Object.fromEntries(allowed), ...(isLeftOut('trivialAugment') && gentle) },
    leftOut,
  }
}
