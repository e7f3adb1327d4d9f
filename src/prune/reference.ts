import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { ownName } from './channel-rules.js'
import { columnNorms } from './criteria.js'
import { mixturesOf } from './mixtures/find-mixtures.js'
import { columnsOfExperts, type Mixture } from './mixtures/mixture.js'

/** The router of one layer as plain numbers. */
export interface RouterValues {
  /** (h,w,C,K), or (h,w,C,1) of a `PatchGate`. */
  readonly shape: readonly number[]
  readonly values: Float32Array
}

/** Routers to compare with: those before fine-tuning, by the path of their layer. */
export interface ReferenceRouters {
  /** Where they come from, as the receipt names it: the path of a run, or 'initial' for those a training started from. */
  readonly path: string
  readonly routers: Readonly<Record<string, RouterValues>>
}

/** A pretrained model with the same mixture, or its routers alone. */
export type Reference = tfl.LayersModel | ReferenceRouters

/** The routers of all mixtures of a model, by the path of their layer: what a later pruning compares with. */
export async function routersOf(model: tfl.LayersModel): Promise<Readonly<Record<string, RouterValues>>> {
  const routers = mixturesOf(model).flatMap(mixture => mixture.routers)
  const values = routers.map(async ({ path, layer }) => {
    const router = routerOf(layer).read()
    return [path, { shape: [...router.shape], values: (await router.data<'float32'>()).slice() }] as const
  })
  return Object.fromEntries(await Promise.all(values))
}

/** The routers of a mixture, side by side. */
export function routerColumns(mixture: Mixture): tf.Tensor2D {
  return columns(
    mixture,
    mixture.routers.map(({ layer }) => routerOf(layer).read()),
  )
}

/**
 * The routers that a mixture had before, side by side; the caller disposes them.
 *
 * @throws RangeError when the reference lacks one of the routers, or has one of another shape
 */
export async function referenceColumns(
  mixture: Mixture,
  reference: Reference,
  where: string,
): Promise<tf.Tensor2D> {
  const routers = isModel(reference) ? await routersOf(reference) : reference.routers
  if (typeof routers !== 'object' || routers === null) {
    throw new TypeError(
      `${where}: reference must be a model or have routers by layer path, got ${typeof routers}`,
    )
  }
  const known = Object.keys(routers).join(', ') || 'none'
  const values = mixture.routers.map(({ path, layer }) => {
    const router = Object.hasOwn(routers, path) ? routers[path] : undefined
    if (!router) {
      throw new RangeError(
        `${where}: reference must have the router of layer ${path}, got ${referenceName(reference)} with routers of ${known}`,
      )
    }
    const expected = routerOf(layer).shape
    if (router.shape.join() !== expected.join()) {
      throw new RangeError(
        `${where}: reference must have routers of shape [${expected.join(', ')}], got [${router.shape.join(', ')}] ` +
          `(layer ${path} of ${referenceName(reference)})`,
      )
    }
    return router
  })
  return tf.tidy(() =>
    columns(
      mixture,
      values.map(router => tf.tensor(router.values, [...router.shape])),
    ),
  )
}

/** (K) the norms of the routers that a mixture had before. */
export async function referenceNorms(
  mixture: Mixture,
  reference: Reference,
  where: string,
): Promise<readonly number[]> {
  const before = await referenceColumns(mixture, reference, where)
  const norms = tf.tidy(() => columnNorms(before))
  try {
    return [...(await norms.data<'float32'>())]
  } finally {
    tf.dispose([before, norms])
  }
}

/** What a receipt calls a reference. */
export function referenceName(reference: Reference): string {
  return isModel(reference) ? reference.name : reference.path
}

function isModel(reference: Reference): reference is tfl.LayersModel {
  return 'layers' in reference
}

/** Standard deviation of routers as layers start them; a little more is allowed for. */
const INITIAL_DEVIATION = 2e-4

/**
 * What to know of a reference whose routers have not been trained: the change of their norms is then the norm itself.
 *
 * @param norms (K) of its routers
 * @param size numbers in a router
 */
export function untrainedReference(norms: readonly number[], size: number): string | undefined {
  const largest = Math.max(...norms)
  if (largest > INITIAL_DEVIATION * Math.sqrt(size)) return undefined
  return (
    `the reference looks like an initialisation (its routers have norms up to ${largest.toPrecision(3)}): the change of a ` +
    'norm is then almost the norm itself, as in router-magnitude'
  )
}

function routerOf(layer: tfl.layers.Layer): tfl.LayerVariable {
  const router = layer.weights.find(weight => ownName(weight) === 'router')
  if (router) return router
  throw new Error(`expertScores: layer ${layer.name} must be built, got one without a router`)
}

/** (h,w,C,k) each -> (h w C, K): the columns of the mixture's experts. */
function columns(mixture: Mixture, routers: readonly tf.Tensor[]): tf.Tensor2D {
  return tf.tidy(() => {
    const flat = routers.map(router => tf.reshape(router, [-1, router.shape.at(-1) as number]) as tf.Tensor2D)
    return columnsOfExperts(mixture, tf.concat2d([...flat], 1))
  })
}
