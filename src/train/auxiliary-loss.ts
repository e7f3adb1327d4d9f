import type * as tfl from '@tensorflow/tfjs-layers'
import {
  AUXILIARY_TERMS,
  type AuxiliaryTerm,
  auxiliaryTermsOf,
  isAuxiliary,
} from '../layers/auxiliary-terms.js'
import { allPlacedLayers, type PlacedLayer } from '../layers/layer-paths.js'
import { termWeights } from './frozen/frozen-part.js'

/** What the auxiliary terms of a training are multiplied by before they are added to the loss, >= 0; 0 unless given. */
export interface TermCoefficients {
  /**
   * Coefficient of the balance loss of the layers of experts; it is 1 where the load is even, and reported without the coefficient.
   * Where whole samples choose experts the load is that of the experts, where experts choose patches that of the positions
   * (`SampleMoE.balance`, `patchBalance`).
   */
  readonly loadBalance?: number
  /**
   * Coefficient of the overlap of the routers of experts that choose patches, in [0, 1] for each layer, which is reported without
   * the coefficient (`routingOverlap`).
   */
  readonly diversity?: number
}

/** What is known of a term besides its name: the option and the metric that carry it, and which models have it. */
interface TermFacts {
  readonly option: keyof TermCoefficients
  readonly givenBy: string
}

const facts: Readonly<Record<AuxiliaryTerm, TermFacts>> = {
  'load-balance': { option: 'loadBalance', givenBy: 'a layer of experts' },
  diversity: { option: 'diversity', givenBy: 'a layer of 2 experts or more that choose patches' },
}

/** The options of the coefficients. */
export const coefficientNames = { loadBalance: true, diversity: true } as const satisfies Record<
  keyof TermCoefficients,
  true
>

/**
 * Checks the coefficients of a training.
 *
 * @throws RangeError when one is below 0 or not finite
 */
export function checkCoefficients(options: TermCoefficients): void {
  for (const name of AUXILIARY_TERMS) {
    const { option } = facts[name]
    const value = options[option] ?? 0
    if (value >= 0 && value < Infinity) continue
    throw new RangeError(`train: ${option} must be a number of at least 0, got ${value}`)
  }
}

/** Those of the coefficients that are given, from a record that may hold more. */
export function coefficientsOf({ loadBalance, diversity }: TermCoefficients): TermCoefficients {
  return {
    ...(loadBalance !== undefined && { loadBalance }),
    ...(diversity !== undefined && { diversity }),
  }
}

/**
 * The coefficients above 0 of the auxiliary terms that a run minimises.
 *
 * @throws RangeError when a term has a coefficient and no layer gives it
 */
export function auxiliaryCoefficients(
  model: tfl.LayersModel,
  options: TermCoefficients,
): ReadonlyMap<AuxiliaryTerm, number> {
  const given = auxiliaryTermsOf(model)
  const coefficients = new Map<AuxiliaryTerm, number>()
  for (const name of AUXILIARY_TERMS) {
    const { option, givenBy } = facts[name]
    const coefficient = options[option] ?? 0
    if (coefficient === 0) continue
    if (!given.has(name)) {
      throw new RangeError(`train: ${option} must be 0 for a model without ${givenBy}, got ${coefficient}`)
    }
    coefficients.set(name, coefficient)
  }
  return coefficients
}

/**
 * Checks that training can change the terms that it minimises, for a model whose frozen layers are frozen now.
 *
 * @param coefficients as {@link auxiliaryCoefficients} gives them
 * @param evaluated layers that compute as in an evaluation, and so add no terms
 * @throws RangeError when no weight that a term depends on is trained: those of the routers, and of layers before them
 */
export function checkTermsTrained(
  model: tfl.LayersModel,
  coefficients: ReadonlyMap<AuxiliaryTerm, number>,
  evaluated: ReadonlySet<tfl.layers.Layer>,
): void {
  const trained = new Set(model.trainableWeights)
  for (const [name, coefficient] of coefficients) {
    const giving = layersGiving(model, name)
    const isChanged = giving.some(
      ({ path, layer }) =>
        !evaluated.has(layer) && termWeights(model, path).some(weight => trained.has(weight)),
    )
    if (isChanged) continue
    const paths = giving.map(({ path }) => path).join(', ')
    throw new RangeError(
      `train: ${facts[name].option} must be 0 where nothing that is trained changes it, got ${coefficient} (${paths})`,
    )
  }
}

/** The coefficients of the terms that some layer adds, where others compute as in an evaluation for now. */
export function addedTerms(
  model: tfl.LayersModel,
  coefficients: ReadonlyMap<AuxiliaryTerm, number>,
  evaluated: ReadonlySet<tfl.layers.Layer>,
): ReadonlyMap<AuxiliaryTerm, number> {
  return new Map(
    [...coefficients].filter(([name]) =>
      layersGiving(model, name).some(({ layer }) => !evaluated.has(layer)),
    ),
  )
}

function layersGiving(model: tfl.LayersModel, name: AuxiliaryTerm): readonly PlacedLayer[] {
  return allPlacedLayers(model).filter(
    ({ layer }) => isAuxiliary(layer) && layer.auxiliaryTerms.includes(name),
  )
}

/** The terms of a step, by the names of their options. */
export function termValues(terms: ReadonlyMap<AuxiliaryTerm, number>): TermCoefficients {
  return Object.fromEntries([...terms].map(([name, value]) => [facts[name].option, value]))
}

/** Sums over the images of an epoch of the terms of their batches, of those that have a coefficient. */
export interface TermSums {
  readonly loadBalanceSum?: number
  readonly diversitySum?: number
}

/** The sums with a batch more. */
export function addTerms(
  { loadBalanceSum = 0, diversitySum = 0 }: TermSums,
  { loadBalance, diversity }: TermCoefficients,
  images: number,
): TermSums {
  return {
    ...(loadBalance !== undefined && { loadBalanceSum: loadBalanceSum + loadBalance * images }),
    ...(diversity !== undefined && { diversitySum: diversitySum + diversity * images }),
  }
}

/** The means over the images of an epoch. */
export function termMeans({ loadBalanceSum, diversitySum }: TermSums, images: number): TermCoefficients {
  return {
    ...(loadBalanceSum !== undefined && { loadBalance: loadBalanceSum / images }),
    ...(diversitySum !== undefined && { diversity: diversitySum / images }),
  }
}
