import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { allLayersWithin } from './layer-paths.js'

/** The terms that layers can add to the loss that training minimises. */
export const AUXILIARY_TERMS = ['load-balance', 'diversity'] as const

/** Name of an auxiliary term. */
export type AuxiliaryTerm = (typeof AUXILIARY_TERMS)[number]

/** What a forward pass returned, and the auxiliary terms that its layers added. */
export interface CollectedTerms<T> {
  readonly value: T
  /** Scalars that can be differentiated, one a name that was asked for: the sum over the layers. The caller disposes them. */
  readonly terms: ReadonlyMap<AuxiliaryTerm, tf.Scalar>
}

/** A layer that adds auxiliary terms in training says which. */
export interface AuxiliaryLayer extends tfl.layers.Layer {
  readonly auxiliaryTerms: readonly AuxiliaryTerm[]
}

/** What a running collection asks for, and what it has of it. */
interface Collection {
  readonly names: readonly AuxiliaryTerm[]
  readonly terms: Map<AuxiliaryTerm, tf.Scalar>
}

let running: Collection | undefined

/** Whether the running step asks for one of these terms: a layer may then compute once what they share. */
export function asksForTerm(names: readonly AuxiliaryTerm[]): boolean {
  return names.some(name => running?.names.includes(name))
}

/**
 * Adds a term to the loss of the running step, for layers to call within `call` when they train. Nothing is computed unless a
 * step asks for the term. A layer that calls it lists the term's name in its property `auxiliaryTerms`.
 *
 * @param compute the term, a scalar; it may depend on the layer's weights and input, and is differentiated
 * @throws RangeError when the term is no scalar
 */
export function addAuxiliaryTerm(name: AuxiliaryTerm, compute: () => tf.Scalar): void {
  if (!running?.names.includes(name)) return
  const { terms } = running
  const before = terms.get(name)
  const sum = tf.tidy(() => {
    const term = compute()
    if (term.rank !== 0) {
      throw new RangeError(`addAuxiliaryTerm: ${name} must be a scalar, got shape [${term.shape.join(', ')}]`)
    }
    return before ? tf.add<tf.Scalar>(before, term) : term
  })
  // Layers and models run within scopes of their own, which end before the loss is summed.
  terms.set(name, tf.keep(sum))
  before?.dispose()
}

/**
 * Runs a forward pass and collects the terms that its layers add.
 *
 * @param names the terms that are computed; all unless given
 * @param forward applies layers in training; called once. A collection within it has terms of its own.
 */
export function collectAuxiliaryTerms<T>(
  forward: () => T,
  names: readonly AuxiliaryTerm[] = AUXILIARY_TERMS,
): CollectedTerms<T> {
  const outer = running
  const terms = new Map<AuxiliaryTerm, tf.Scalar>()
  running = { names, terms }
  try {
    return { value: forward(), terms }
  } catch (error) {
    for (const term of terms.values()) term.dispose()
    throw error
  } finally {
    running = outer
  }
}

/** The names of the terms that the layers of a model add in training, nested models included. */
export function auxiliaryTermsOf(model: tfl.LayersModel): ReadonlySet<AuxiliaryTerm> {
  return new Set(allLayersWithin(model).flatMap(layer => (isAuxiliary(layer) ? layer.auxiliaryTerms : [])))
}

/** Whether a layer adds auxiliary terms in training. */
export function isAuxiliary(layer: tfl.layers.Layer): layer is AuxiliaryLayer {
  return 'auxiliaryTerms' in layer && Array.isArray(layer.auxiliaryTerms)
}
