import { resolve } from 'node:path'
import * as z from 'zod'

/** One kind of value that settings have: what it may be in a configuration, and how it is written after a flag. */
export interface SettingValue<Schema extends z.ZodType = z.ZodType> {
  /** What a configuration may hold. */
  readonly schema: Schema
  /** What can be written after a flag, in words: `a positive integer`. */
  readonly form: string
  /** The names to choose from, where the value is one of some names. */
  readonly choices?: readonly string[]
  /** Whether a flag that is given again adds to a list. */
  readonly repeats?: boolean
  /**
   * Reads the value from the text after a flag; absent for flags without a value, which set true.
   *
   * @throws RangeError `It must be ...` when the text is no such value
   */
  read?(text: string): z.output<Schema>
}

/** A flag that is given or not. */
export const given = { schema: z.boolean(), form: 'given or not' } as const satisfies SettingValue

/** Any text that is not empty. */
export const text = {
  schema: z.string().min(1),
  form: 'a text',
  read: String,
} as const satisfies SettingValue

/** A folder, as a path that is valid from any working directory. */
export const folder = {
  schema: z.string().min(1),
  form: 'a path',
  read: (written: string) => resolve(written),
} as const satisfies SettingValue

/** An integer of at least 1. */
export const positiveInteger = numberValue(z.int().min(1), 'a positive integer')

/** Images in one step: an integer of at least 1, or `auto`, which a configuration does not hold. */
export const batchImages = {
  schema: z.union([positiveInteger.schema, z.literal('auto')]),
  form: 'a positive integer, or auto',
  read: (written: string) => {
    if (written === 'auto') return written
    const { success, data } = positiveInteger.schema.safeParse(numberIn(written))
    if (success) return data
    throw refused('a positive integer, or auto')
  },
} as const satisfies SettingValue

/** An integer of at least 0. */
export const wholeNumber = numberValue(z.int().min(0), 'an integer of at least 0')

/** A number above 0. */
export const positiveNumber = numberValue(z.number().positive(), 'a number above 0')

/** A number of at least 0. */
export const numberFromZero = numberValue(z.number().nonnegative(), 'a number of at least 0')

/** A finite number, also below 0. */
export const anyNumber = numberValue(z.number(), 'a number')

/** A number in [0, 1). */
export const share = numberValue(z.number().min(0).lt(1), 'a number in [0, 1)')

/** A number in (0, 1]. */
export const shareAboveZero = numberValue(z.number().positive().max(1), 'a number in (0, 1]')

/** A number in (0, 1), as probabilities that something fails are. */
export const openShare = numberValue(z.number().positive().lt(1), 'a number in (0, 1)')

/** A number in [0, 1]. */
export const probability = numberValue(z.number().min(0).max(1), 'a number in [0, 1]')

/** An angle of at most half a turn, in degrees. */
export const halfTurn = numberValue(z.number().min(0).max(180), 'a number in [0, 180]')

/** An integer in [0, 2^32). */
export const seedNumber = numberValue(
  z
    .int()
    .min(0)
    .max(2 ** 32 - 1),
  'an integer in [0, 2^32)',
)

/** Integers of at least 1: `1,8,32`. */
export const positiveIntegers = {
  schema: z.array(positiveInteger.schema).min(1),
  form: 'integers of at least 1: 1,8,32',
  read: (written: string) => {
    const numbers = written.split(',').map(numberIn)
    if (numbers.every(value => positiveInteger.schema.safeParse(value).success)) return numbers
    throw refused('integers of at least 1: 1,8,32')
  },
} as const satisfies SettingValue

/** A side or [height, width] in pixels: `4`, or `4x2`. */
export const pixelSize = {
  schema: z.union([positiveInteger.schema, z.tuple([positiveInteger.schema, positiveInteger.schema])]),
  form: 'pixels: 4, or 4x2',
  read: (written: string) => {
    const [height, width] = sidesOf(written)
    return width === undefined ? height : ([height, width] as [number, number])
  },
} as const satisfies SettingValue

/** [height, width] in pixels: `64`, or `64x48`. */
export const imageSize = {
  schema: z.tuple([positiveInteger.schema, positiveInteger.schema]),
  form: 'pixels: 64, or 64x48',
  read: (written: string) => {
    const [height, width = height] = sidesOf(written)
    return [height, width] as [number, number]
  },
} as const satisfies SettingValue

const imagesOrShareForm = 'a number of images or a share of them: 3, or 2%'

/** A number of images, `3`, or a percentage of them, `2%`. */
export const imagesOrShare = {
  schema: z.union([wholeNumber.schema, z.templateLiteral([z.number().min(0).max(100), '%'])]),
  form: imagesOrShareForm,
  read: (written: string) => {
    const isShare = /^\d+(\.\d+)?%$/.test(written)
    if (isShare && Number.parseFloat(written) <= 100) return `${Number.parseFloat(written)}%` as const
    if (/^\d+$/.test(written)) return Number(written)
    throw refused(imagesOrShareForm)
  },
} as const satisfies SettingValue

const shareOrFoldForm = 'a share in (0, 1), or fold k of n: 0.2, or 2/5'

/** A share in (0, 1), or one of at least two folds, `2/5`. */
export const shareOrFold = {
  schema: z.union([
    openShare.schema,
    z
      .templateLiteral([z.int().positive(), '/', z.int().min(2)])
      .refine(written => isFold(written), shareOrFoldForm),
  ]),
  form: shareOrFoldForm,
  read: (written: string) => {
    if (isFold(written)) return written
    const share = /^[\d.]+$/.test(written) ? Number(written) : Number.NaN
    if (share > 0 && share < 1) return share
    throw refused(shareOrFoldForm)
  },
} as const satisfies SettingValue

function isFold(written: string): boolean {
  if (!/^[1-9]\d{0,3}\/[1-9]\d{0,3}$/.test(written)) return false
  const [fold = 0, folds = 0] = written.split('/').map(Number)
  return folds >= 2 && fold <= folds
}

/** Class numbers, `0,1,8,9`. */
export const classNumbers = {
  schema: z.array(wholeNumber.schema).min(1),
  form: 'class numbers: 0,1,8,9',
  read: (written: string) => {
    const numbers = written.split(',').map(numberIn)
    if (numbers.every(value => wholeNumber.schema.safeParse(value).success)) return numbers
    throw refused('class numbers: 0,1,8,9')
  },
} as const satisfies SettingValue

/** Names or paths of layers, with `*` and `?`: `stem,group1_*`. */
export const layerPatterns = patterns('names of layers: stem,group1_*')

/** Names or paths of layers or of their weights, with `*` and `?`: `logits,*\/bias`. */
export const weightPatterns = patterns('names of layers or weights: logits,*/bias')

function patterns(form: string) {
  return {
    schema: z.array(z.string().min(1)).min(1),
    form,
    repeats: true,
    read: (written: string) => {
      const names = written.split(',').map(part => part.trim())
      if (names.every(name => name !== '')) return names
      throw refused(form)
    },
  } as const satisfies SettingValue
}

const layerRatesForm = 'layers, or a weight of one, and a rate above 0: patch_moe=0.05, logits/router=0.1'

/** Learning rates of some layers or weights; `patch_moe=0.05` is a list of one. */
export const layerRates = {
  schema: z.array(z.strictObject({ pattern: z.string().min(1), learningRate: positiveNumber.schema })).min(1),
  form: layerRatesForm,
  repeats: true,
  read: (written: string) => {
    const separator = written.lastIndexOf('=')
    const pattern = written.slice(0, Math.max(separator, 0)).trim()
    const learningRate = numberIn(written.slice(separator + 1))
    if (pattern !== '' && positiveNumber.schema.safeParse(learningRate).success) {
      return [{ pattern, learningRate }]
    }
    throw refused(layerRatesForm)
  },
} as const satisfies SettingValue

const annealingForm = 'FROM:TO:EPOCHS in whole numbers, FROM at least TO: 64:16:5'

const annealingNumbers = z.strictObject({
  from: positiveInteger.schema,
  to: positiveInteger.schema,
  epochs: positiveInteger.schema,
})

/** How the number of kept patches decreases, `64:16:5`: from, to and in how many epochs. */
export const annealing = {
  schema: annealingNumbers,
  form: annealingForm,
  read: (written: string) => {
    const [from, to, epochs, ...rest] = written.split(':').map(numberIn)
    const { data } = annealingNumbers.safeParse({ from, to, epochs })
    if (data && rest.length === 0 && data.to <= data.from) return data
    throw refused(annealingForm)
  },
} as const satisfies SettingValue

const randAugmentForm = 'COUNT:STRENGTH in whole numbers, up to 8 and 30: 2:9'

const randAugmentNumbers = z.strictObject({
  operations: z.int().min(0).max(8),
  magnitude: z.int().min(0).max(30),
})

/** How many changes of an image and how strong, `2:9`. */
export const randAugmentation = {
  schema: randAugmentNumbers,
  form: randAugmentForm,
  read: (written: string) => {
    const [operations, magnitude, ...rest] = written.split(':').map(numberIn)
    const { data } = randAugmentNumbers.safeParse({ operations, magnitude })
    if (data && rest.length === 0) return data
    throw refused(randAugmentForm)
  },
} as const satisfies SettingValue

const jitterForm =
  'a number of at least 0, or parts of brightness, contrast, saturation and hue, which is at most 0.5: brightness=0.4,hue=0.1'

const jitterParts = z.strictObject({
  brightness: numberFromZero.schema.exactOptional(),
  contrast: numberFromZero.schema.exactOptional(),
  saturation: numberFromZero.schema.exactOptional(),
  hue: z.number().min(0).max(0.5).exactOptional(),
})

/** How far colours are varied: `0.4` is that of brightness, contrast and saturation. */
export const jitterStrength = {
  schema: jitterParts,
  form: jitterForm,
  read: (written: string) => {
    const all = numberIn(written)
    const parts = Number.isNaN(all)
      ? Object.fromEntries(written.split(',').map(partOf))
      : { brightness: all, contrast: all, saturation: all }
    const { data } = jitterParts.safeParse(parts)
    if (data) return data
    throw refused(jitterForm)
  },
} as const satisfies SettingValue

/** A name and its number, of `name=number`. */
function partOf(written: string): readonly [name: string, value: number] {
  const [name = '', value = '', ...rest] = written.split('=').map(word => word.trim())
  return [name, rest.length > 0 ? Number.NaN : numberIn(value)]
}

/** One of the given names. */
export function choice<const Name extends string>(names: readonly Name[]) {
  return {
    schema: z.enum(names),
    form: names.join(', '),
    choices: names,
    read: (written: string) => {
      const name = names.find(each => each === written)
      if (name !== undefined) return name
      throw refused(`one of ${names.join(', ')}`)
    },
  } satisfies SettingValue
}

/** Numbers by name, `deltaD=0.5,lStar=6`. */
export function numbersByName<Shape extends Readonly<Record<string, z.ZodType>>>(shape: Shape) {
  const names = Object.keys(shape)
  const form = `NAME=NUMBER,... of ${names.join(', ')}`
  return {
    schema: z.strictObject(shape),
    form,
    read: (written: string): z.output<z.ZodObject<Shape>> => {
      const pairs = written.split(',').map((part): [string, number] => {
        const [name = '', value = '', ...rest] = part.split('=').map(word => word.trim())
        if (!names.includes(name) || rest.length > 0 || !Number.isFinite(numberIn(value))) throw refused(form)
        return [name, Number(value)]
      })
      return Object.fromEntries(pairs) as z.output<z.ZodObject<Shape>>
    },
  }
}

const classWeightsForm = 'balanced, or NAME=NUMBER,... above 0: cat=2,dog=0.5'

const weightsByName = z.record(z.string().min(1), positiveNumber.schema)

/** Weights of classes, `balanced` or `cat=2,dog=0.5`. */
export const classWeights = {
  schema: z.union([z.literal('balanced'), weightsByName]),
  form: classWeightsForm,
  read: (written: string) => {
    if (written === 'balanced') return written
    const pairs = written.split(',').map((part): [string, number] => {
      const separator = part.lastIndexOf('=')
      return [part.slice(0, Math.max(separator, 0)).trim(), numberIn(part.slice(separator + 1))]
    })
    const isOnce = new Set(pairs.map(([name]) => name)).size === pairs.length
    const { data } = weightsByName.safeParse(Object.fromEntries(pairs))
    if (data && isOnce) return data
    throw refused(classWeightsForm)
  },
} as const satisfies SettingValue

function numberValue<Schema extends z.ZodType<number>>(schema: Schema, form: string) {
  return {
    schema,
    form,
    read: (written: string): z.output<Schema> => {
      const { success, data } = schema.safeParse(numberIn(written))
      if (success) return data
      throw refused(form)
    },
  }
}

/** The number that a text stands for; NaN where it is none. */
function numberIn(written: string): number {
  return written.trim() === '' ? Number.NaN : Number(written)
}

function sidesOf(written: string): readonly [number, number?] {
  const [height, width, ...rest] = written.split('x').map(numberIn)
  const areSides = [height, width ?? height].every(side => positiveInteger.schema.safeParse(side).success)
  if (height === undefined || rest.length > 0 || !areSides) throw refused('pixels: 4, or 4x2')
  return width === undefined ? [height] : [height, width]
}

function refused(form: string): RangeError {
  return new RangeError(`It must be ${form}.`)
}
