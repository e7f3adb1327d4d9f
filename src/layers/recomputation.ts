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
 * Whether training keeps the outputs of BatchNorm and ReLU (the default), or computes them again in the backward pass
 * from what it keeps anyway: less memory for a few per cent of time. Values and gradients stay the same.
 */
export function recomputeActivations(recompute: boolean): void {
  enabled = recompute
}

/** Whether {@link recomputeActivations} is on. */
export function recomputesActivations(): boolean {
  return enabled
}

/** Tells how `tensor` can be computed again, while {@link recomputeActivations} is on. */
export function offerRecipe(tensor: tf.Tensor, recipe: Recipe): void {
  if (!enabled) return
  recipes.set(tensor, recipe)
  for (const source of recipe.sources) sources.add(source)
}

/** Whether another tensor may have to be computed again from this one, which must then not be freed in the forward pass. */
export function isRecipeSource(tensor: tf.Tensor): boolean {
  return sources.has(tensor)
}

/** How `tensor` can be computed again, if anybody told. */
export function recipeOf(tensor: tf.Tensor): Recipe | undefined {
  return recipes.get(tensor)
}

/** What to keep of an input: itself, or what it can be computed from again. */
export function keepInput<T extends tf.Tensor>(input: T): KeptInput<T> {
  const recipe = recipes.get(input)
  if (!recipe) return { tensors: [input], restore: ([kept]) => kept as T }
  return { tensors: recipe.sources, restore: kept => recipe.compute(kept) as T }
}
