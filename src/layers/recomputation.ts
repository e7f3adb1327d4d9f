import type * as tf from '@tensorflow/tfjs-core'

/** How a tensor can be computed again from others that training keeps anyway. */
export interface Recipe {
  readonly sources: readonly tf.Tensor[]
  compute(sources: readonly tf.Tensor[]): tf.Tensor
}

/** What an operation keeps of an input for its backward pass, and how it gets the input back. */
export interface KeptInput<T extends tf.Tensor> {
  readonly tensors: readonly tf.Tensor[]
  restore(tensors: readonly tf.Tensor[]): T
}

let enabled = false
const recipes = new WeakMap<tf.Tensor, Recipe>()
const sources = new WeakSet<tf.Tensor>()

/**
 * Sets whether training computes the outputs of BatchNorm and ReLU again in the backward pass, from what it keeps anyway,
 * instead of keeping them (the default). That needs less memory and costs a few per cent of time; values and gradients
 * stay the same.
 */
export function recomputeActivations(recompute: boolean): void {
  enabled = recompute
}

/** Whether {@link recomputeActivations} is on. */
export function recomputesActivations(): boolean {
  return enabled
}

/** Stores how `tensor` can be computed again; does nothing unless {@link recomputeActivations} is on. */
export function offerRecipe(tensor: tf.Tensor, recipe: Recipe): void {
  if (!enabled) return
  recipes.set(tensor, recipe)
  for (const source of recipe.sources) sources.add(source)
}

/** Whether another tensor may have to be computed again from this one, which must then not be freed in the forward pass. */
export function isRecipeSource(tensor: tf.Tensor): boolean {
  return sources.has(tensor)
}

/** How `tensor` can be computed again, where {@link offerRecipe} was given it. */
export function recipeOf(tensor: tf.Tensor): Recipe | undefined {
  return recipes.get(tensor)
}

/** Chooses what to keep of an input: the tensor itself, or the tensors that it can be computed from again. */
export function keepInput<T extends tf.Tensor>(input: T): KeptInput<T> {
  const recipe = recipes.get(input)
  if (!recipe) return { tensors: [input], restore: ([tensor]) => tensor as T }
  return { tensors: recipe.sources, restore: tensors => recipe.compute(tensors) as T }
}
