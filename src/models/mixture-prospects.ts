/** A place for a mixture in a network that was trained before, and what is known of the images. */
export interface MixturePlace {
  /** Share of the image's side that a cell of the map sees, of two the larger; above 1 where it sees more than the image. */
  readonly fieldShare?: number
  /** Training images. */
  readonly images?: number
  /** Share of an image's area that the object fills, in (0, 1]. */
  readonly objectShare?: number
}

/** What a mixture in the place of a dense layer can be expected to bring to the accuracy. */
export interface MixtureProspect {
  /** `depends` where the size of the object decides, and is not known. */
  readonly expect: 'a gain' | 'little' | 'nothing' | 'depends' | 'unknown'
  /** What speaks for it, a clause. */
  readonly because: string
  /** Shares of an image's area that an object may fill for a gain here, from and to; absent where none was found, or it is unknown. */
  readonly objects?: readonly [from: number, to: number]
}

/**
 * Where the study `transfer` (results/transfer) found gains behind a trained network, and where it found none. What decides is how
 * often the object's side goes into what a cell of the map sees: a cell that sees less shows a part of the object, one that sees much
 * more shows everything that lies about.
 */
const measuredGains = {
  /** Sides of the object that a cell sees where mixtures gained. */
  seen: { from: 1.3, to: 4.7 },
  /** The same: less than the first or more than the second, and they gained nothing or lost. */
  nothing: { below: 1, above: 5.9 },
  /** Of the image's area: the smallest objects with which mixtures gained; and those that filled it gained 2 to 4 points. */
  smallestObject: 0.1,
  largeObject: 0.6,
  /** Of the image's area: objects that fill less needed more images. */
  smallObject: 0.25,
  /** Training images with which neither layer learned to tell objects of a tenth, and of a twentieth, apart. */
  tooFew: { ofSmall: 25, ofSmallest: 100 },
  /** Training images with which mixtures gained; and with small objects. */
  enough: { ofLarge: 25, ofSmall: 400 },
} as const

/** What the study `transfer` lets expect of a mixture in a place. */
export function mixtureProspect(place: MixturePlace): MixtureProspect {
  const { fieldShare, images, objectShare } = place
  if (fieldShare === undefined) {
    return { expect: 'unknown', because: 'how much of the image a cell of its map sees is not known' }
  }
  const sees = `a cell of its map sees ${percent(fieldShare)} % of the image's side`
  if (fieldShare > measuredGains.nothing.above) {
    return { expect: 'nothing', because: `${sees}, and so all of the image wherever it stands` }
  }
  if (images !== undefined && images <= tooFewFor(objectShare)) {
    const because = `with ${images} training images neither layer learned to tell small objects apart`
    return { expect: 'nothing', because }
  }
  return objectShare === undefined
    ? withoutObject(fieldShare, sees)
    : withObject({ ...place, fieldShare, objectShare }, sees)
}

/** Training images with which neither layer learned; where the size of objects is not known, with small ones. */
function tooFewFor(objectShare: number = measuredGains.smallestObject): number {
  const { smallestObject, smallObject, tooFew } = measuredGains
  if (objectShare < smallestObject) return tooFew.ofSmallest
  return objectShare < smallObject ? tooFew.ofSmall : 0
}

function withoutObject(fieldShare: number, sees: string): MixtureProspect {
  const objects = gainingObjects(fieldShare)
  if (!objects) return { expect: 'unknown', because: `${sees}; no gain was measured for objects that small` }
  const range = objects.map(percent).join(' to ')
  return {
    expect: 'depends',
    because: `${sees}; gains were found for objects that fill ${range} % of it`,
    objects,
  }
}

function withObject(
  { fieldShare, objectShare, images = Infinity }: Required<Omit<MixturePlace, 'images'>> & MixturePlace,
  sees: string,
): MixtureProspect {
  const objects = gainingObjects(fieldShare)
  const known = objects ? { objects } : {}
  const { seen, nothing, smallestObject, smallObject, largeObject, enough } = measuredGains
  if (objectShare < smallestObject) {
    return { expect: 'unknown', because: `${sees}; no gain was measured for objects that small`, ...known }
  }
  const ratio = fieldShare / Math.sqrt(objectShare)
  const because = `${sees}, ${ratio.toFixed(1)} times the object's`
  if (ratio > nothing.above)
    return { expect: 'nothing', because: `${because}, and much besides it`, ...known }
  if (ratio < nothing.below) return { expect: 'nothing', because: `${because}, a part of it`, ...known }
  const needed = objectShare < smallObject ? enough.ofSmall : enough.ofLarge
  if (ratio < seen.from || ratio > seen.to || images < needed) {
    return { expect: 'unknown', because: `${because}, where nothing was decided`, ...known }
  }
  if (objectShare < largeObject) return { expect: 'a gain', because, ...known }
  return { expect: 'little', because: `${because}; of objects that fill the image, 2 to 4 points`, ...known }
}

/** Shares of the image that an object may fill for a gain; undefined where the study had no objects as small. */
function gainingObjects(fieldShare: number): readonly [from: number, to: number] | undefined {
  const { seen, smallestObject } = measuredGains
  const to = Math.min(1, (fieldShare / seen.from) ** 2)
  return to < smallestObject ? undefined : [Math.max(smallestObject, (fieldShare / seen.to) ** 2), to]
}

function percent(share: number): string {
  return (100 * share).toFixed(share < 0.1 ? 1 : 0)
}
