import * as z from 'zod'
import { modelNames } from '../../../src/models/recipes.js'
import { modelsOf } from '../../../src/run/setting.js'
import { settings } from '../../../src/run/settings.js'
import { trainSettings } from '../../run/train-settings.js'

/** A number of things in a grid. */
export const count = z
  .int()
  .min(1)
  .max(2 ** 31 - 1)
/** Values that are gone through. */
export const sweep = z.array(count).min(1)

const flagNames: ReadonlySet<string> = new Set(
  trainSettings
    .filter(({ setting }) => modelsOf(setting).length > 0)
    .map(({ option }) => option.attributeName()),
)
const flagName = z.string().refine(name => flagNames.has(name), 'must be a flag of pmoe train')
/** Flags of `pmoe train`; those that read validation images are no use to studies. */
export const flags = z
  .record(
    flagName,
    z.union([z.string(), z.number(), z.boolean(), z.array(z.number()), z.record(z.string(), z.number())]),
  )
  .refine(
    ({ validation, earlyStop, schedule }) =>
      validation === undefined && earlyStop === undefined && schedule !== 'plateau',
    'must have no validation, earlyStop or schedule plateau: runs of a study have fixed epochs and are tested once, at the end',
  )
const share = z.number().min(0).max(1)

const variant = z.strictObject({
  name: z.string().min(1),
  model: z.enum(modelNames),
  flags,
  mixture: z
    .strictObject({
      preActivation: settings.preActivation.value.schema.exactOptional(),
      routerTrainable: settings.routerTrainable.value.schema.exactOptional(),
    })
    .exactOptional(),
  routerDeviation: z.number().positive().exactOptional(),
  sweeps: z.boolean().exactOptional(),
  settings: z.array(z.string().min(1)).min(1).exactOptional(),
  published: z.array(z.strictObject({ samples: count, accuracy: share })).exactOptional(),
})

/** What a study compares. */
export const variants = z
  .array(variant)
  .min(1)
  .refine(of => new Set(of.map(({ name }) => name)).size === of.length, 'names must differ')
