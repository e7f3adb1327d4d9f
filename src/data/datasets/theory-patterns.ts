import { isPositiveInteger } from '../../shapes.js'

/** The geometry of the theory's data model: every quantity that its bounds depend on. */
export interface TheoryOptions {
  /** c, at least 2. */
  readonly numClasses: number
  /** Side of a patch in pixels; its square is d, at least numClasses + patternSets. */
  readonly patchSide: number
  /** p, sets of class-irrelevant patterns. */
  readonly patternSets: number
  /** <o_i, o_j> of class-discriminative patterns, in [0, 1). */
  readonly deltaD: number
  /** Largest <o_i, q> of a class-irrelevant pattern q, in (0, 1). */
  readonly deltaR: number
  /** Largest distance between a class-irrelevant pattern and the centre of its set, in [0, deltaR). */
  readonly radius: number
  /** l*: every image has l* - 1 class-irrelevant patches that are delta'-closer to one class than to the others. */
  readonly lStar: number
}

/** A set of class-irrelevant patterns: those of a ball around its centre, on the unit sphere. */
export interface PatternSet {
  /** (d) unit vector, coordinates at least 0. */
  readonly center: Float64Array
  /** The class that all its patterns are delta'-closer to than to the others; undefined for none. */
  readonly closerTo?: number
}

/** Patterns of a data model, and the quantities that follow from them. */
export interface TheoryPatterns {
  readonly options: TheoryOptions
  /** o_1 .. o_c, (d) unit vectors with coordinates of at least 0. */
  readonly discriminative: readonly Float64Array[]
  readonly sets: readonly PatternSet[]
  /** delta' = (1 - deltaD) / 2, by which <o_i - o_j, q> makes q closer to o_i (definition D.3). */
  readonly closerBy: number
  /** delta = 1 / (1 - max(deltaD^2, deltaR^2)). */
  readonly delta: number
  /** (d) the direction, of c + p orthonormal ones with disjoint pixels, that each pixel belongs to. */
  readonly direction: Int32Array
}

/** What data of the theory are made with unless told otherwise: d = 64, p = 8, l* = 4. */
export const theoryDefaults: TheoryOptions = {
  numClasses: 2,
  patchSide: 8,
  patternSets: 8,
  deltaD: 0.2,
  deltaR: 0.6,
  radius: 0.02,
  lStar: 4,
}

/**
 * Constructs the patterns of the theory's data model (Chowdhury et al., ICML 2023, section 4.2 and appendix M).
 *
 * With orthonormal e_1 .. e_(c+p) that share no pixel, o_i = t e_i + b (e_1 + .. + e_c), t = sqrt(1 - deltaD) and
 * b = (sqrt(t^2 + c deltaD) - t) / c, so that all pairs have the same inner product. Where l* > 1, sets 1 .. c lie
 * close to one class each: centre a e_i + sqrt(1 - a^2) e_(c+i) with <o_i, centre> = deltaR - radius. The other sets are
 * as far from every class as from the others; at most half of their squared norm lies among e_1 .. e_c.
 *
 * No coordinate is negative, so that a byte can hold it: 255 times the coordinate, to half a step.
 *
 * @throws RangeError when an option is out of range, or no such patterns exist
 */
export function theoryPatterns(options: TheoryOptions): TheoryPatterns {
  checkOptions(options)
  const { numClasses: c, patternSets: p, patchSide, deltaD, deltaR, radius, lStar } = options
  const [pixels, directions] = [patchSide ** 2, c + p]
  const direction = Int32Array.from({ length: pixels }, (_, pixel) => pixel % directions)
  const vector = (weights: (index: number) => number): Float64Array => {
    const sizes = new Int32Array(directions)
    for (const index of direction) sizes[index]!++
    return Float64Array.from(direction, index => weights(index) / Math.sqrt(sizes[index]!))
  }
  const ownWeight = Math.sqrt(1 - deltaD)
  const sharedWeight = (Math.sqrt(ownWeight ** 2 + c * deltaD) - ownWeight) / c
  const discriminative = Array.from({ length: c }, (_, i) =>
    vector(index => (index < c ? sharedWeight : 0) + (index === i ? ownWeight : 0)),
  )
  const near = (deltaR - radius) / (ownWeight + sharedWeight)
  const even = Math.min((deltaR - radius) / (ownWeight + c * sharedWeight), 1 / Math.sqrt(2 * c))
  const sets = Array.from({ length: p }, (_, i): PatternSet => {
    const rest = (index: number, norm: number) => (index === c + i ? Math.sqrt(1 - norm ** 2) : 0)
    if (lStar > 1 && i < c)
      return { center: vector(index => (index === i ? near : rest(index, near))), closerTo: i }
    return { center: vector(index => (index < c ? even : rest(index, even * Math.sqrt(c)))) }
  })
  const closerBy = (1 - deltaD) / 2
  checkFeasible(options, { near, gap: near * ownWeight, closerBy })
  return {
    options,
    discriminative,
    sets,
    closerBy,
    delta: 1 / (1 - Math.max(deltaD ** 2, deltaR ** 2)),
    direction,
  }
}

function checkOptions(options: TheoryOptions): void {
  const { numClasses, patchSide, patternSets, deltaD, deltaR, radius, lStar } = options
  for (const [name, value] of Object.entries({ numClasses, patchSide, patternSets, lStar })) {
    if (isPositiveInteger(value) && (name !== 'numClasses' || value >= 2)) continue
    const requirement = name === 'numClasses' ? 'an integer of at least 2' : 'a positive integer'
    throw new RangeError(`theory-patches: ${name} must be ${requirement}, got ${value}`)
  }
  const check = (name: string, value: number, inside: boolean, range: string) => {
    if (!inside) throw new RangeError(`theory-patches: ${name} must be in ${range}, got ${value}`)
  }
  check('deltaD', deltaD, deltaD >= 0 && deltaD < 1, '[0, 1)')
  check('deltaR', deltaR, deltaR > 0 && deltaR < 1, '(0, 1)')
  check('radius', radius, radius >= 0 && radius < deltaR, `[0, ${deltaR}) below deltaR`)
  const fewest = lStar > 1 ? numClasses + 1 : 1
  if (patternSets < fewest) {
    throw new RangeError(
      `theory-patches: patternSets must be at least ${fewest}, got ${patternSets} (${numClasses} classes, lStar ${lStar})`,
    )
  }
  if (patchSide ** 2 < numClasses + patternSets) {
    throw new RangeError(
      `theory-patches: patchSide must give at least ${numClasses + patternSets} pixels, got ${patchSide ** 2} ` +
        `(${numClasses} classes, ${patternSets} pattern sets)`,
    )
  }
}

/** Whether patterns close to a class exist, and every pattern of a ball is on the same side of delta' as its centre. */
function checkFeasible(
  { deltaD, deltaR, radius, lStar }: TheoryOptions,
  { near, gap, closerBy }: { near: number; gap: number; closerBy: number },
): void {
  // |<o_i - o_j, q - centre>| <= |o_i - o_j| radius
  const blur = Math.sqrt(2 - 2 * deltaD) * radius
  const context = `(deltaD ${deltaD}, deltaR ${deltaR}, radius ${radius})`
  if (blur >= closerBy) {
    throw new RangeError(
      `theory-patches: radius must keep ${blur.toFixed(3)} below delta' ${closerBy.toFixed(3)}, got ${radius} ${context}`,
    )
  }
  if (lStar === 1) return
  if (near > 1) {
    throw new RangeError(
      `theory-patches: deltaR must leave unit vectors that close to one class, got ${deltaR} ${context}`,
    )
  }
  if (gap - blur <= closerBy) {
    throw new RangeError(
      `theory-patches: deltaR must make patterns closer to one class by more than ${closerBy.toFixed(3)}, ` +
        `got ${(gap - blur).toFixed(3)} ${context}`,
    )
  }
}
