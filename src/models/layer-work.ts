import type * as tfl from '@tensorflow/tfjs-layers'
import { type Product, product } from '../layers/moe/experts/expert.js'
import { gateKind } from '../layers/moe/gates.js'
import { PatchExperts } from '../layers/moe/patch-experts.js'
import { PatchGate } from '../layers/moe/patch-gate.js'
import { PatchMoE } from '../layers/moe/patch-moe.js'
import { SampleExperts } from '../layers/moe/sample-experts.js'
import { SampleMoE } from '../layers/moe/sample-moe.js'
import { TwoLayerExperts } from '../layers/moe/two-layer-experts.js'
import { shapeSize } from '../shapes.js'

/** The products of a layer for one sample, and those of the dense layer that it replaces. */
export interface Work {
  readonly products: readonly Product[]
  readonly dense?: { readonly parameters: number; readonly products: readonly Product[] }
}

/** The shapes of a layer's input and output without the batch; each is checked when it is called for. */
export interface Shapes {
  readonly input: () => readonly number[]
  readonly output: () => readonly number[]
}

type WorkCounter = (layer: tfl.layers.Layer, shapes: Shapes) => Work

/** Every kernel number is used once for each position of the output. */
const convolution: WorkCounter = (layer, { output }) => {
  const kernel = requiredShape(layer, 'kernel')
  return {
    products: [product((shapeSize(output()) / lastOf(kernel)) * shapeSize(kernel), trains(layer, 'kernel'))],
  }
}

/** Every kernel number is used once for each position of the input. */
const transposedConvolution: WorkCounter = (layer, { input }) => {
  const kernel = requiredShape(layer, 'kernel')
  return {
    products: [product((shapeSize(input()) / lastOf(kernel)) * shapeSize(kernel), trains(layer, 'kernel'))],
  }
}

/** Each output number takes one product for each position in the kernel. */
const depthwiseConvolution: WorkCounter = (layer, { output }) => {
  const [height = 1, width = 1] = requiredShape(layer, 'depthwise_kernel')
  return { products: [product(shapeSize(output()) * height * width, trains(layer, 'depthwise_kernel'))] }
}

const separableConvolution: WorkCounter = (layer, { output }) => {
  const depthwise = requiredShape(layer, 'depthwise_kernel')
  const pointwise = requiredShape(layer, 'pointwise_kernel')
  const positions = shapeSize(output()) / lastOf(pointwise)
  const depthwiseTrained = trains(layer, 'depthwise_kernel')
  return {
    products: [
      product(positions * shapeSize(depthwise), depthwiseTrained),
      {
        ...product(positions * shapeSize(pointwise), trains(layer, 'pointwise_kernel')),
        learnedInside: depthwiseTrained,
      },
    ],
  }
}

const noProducts: WorkCounter = () => ({ products: [] })

/** Layers of tfjs with weights, by class name. */
const workByClass: Readonly<Record<string, WorkCounter>> = {
  Dense: convolution,
  Conv1D: convolution,
  Conv2D: convolution,
  Conv3D: convolution,
  Conv2DTranspose: transposedConvolution,
  Conv3DTranspose: transposedConvolution,
  DepthwiseConv2D: depthwiseConvolution,
  SeparableConv2D: separableConvolution,
  BatchNormalization: noProducts,
  LayerNormalization: noProducts,
  PReLU: noProducts,
  Embedding: noProducts,
}

/**
 * The products of a layer, without those of networks that it holds.
 *
 * @returns undefined for a layer whose multiply-adds cannot be counted
 * @throws RangeError when a shape that they depend on is not fixed
 */
export function workOf(layer: tfl.layers.Layer, shapes: Shapes): Work | undefined {
  if (layer instanceof PatchMoE) return patchMoEWork(layer, shapes.input())
  if (layer instanceof PatchGate) return { products: [routing(layer, 1, shapes.input())] }
  if (layer instanceof TwoLayerExperts) return twoLayerWork(layer, shapes.input())
  if (layer instanceof SampleExperts) return { products: [sampleRouting(layer, shapes.input())] }
  // All that it computes is in its networks.
  if (layer instanceof PatchExperts) return noProducts(layer, shapes)
  if (layer instanceof SampleMoE) return sampleMoEWork(layer, shapes.input())
  const className = layer.getClassName()
  if (Object.hasOwn(workByClass, className)) return workByClass[className]?.(layer, shapes)
  return layer.weights.length === 0 && className !== 'Dot' ? noProducts(layer, shapes) : undefined
}

function patchMoEWork(layer: PatchMoE, map: readonly number[]): Work {
  return {
    products: [routing(layer, layer.numExperts, map), ...expertProducts(layer, map, layer.patchesPerExpert)],
    dense: denseWork(layer, map),
  }
}

function twoLayerWork(layer: TwoLayerExperts, image: readonly number[]): Work {
  const head = requiredShape(layer, 'head') // (m, outputs)
  const output = {
    ...product(shapeSize(head), trains(layer, 'head')),
    learnedInside: trains(layer, 'kernel') || trains(layer, 'router'),
  }
  const dense = denseWork(layer, image)
  return {
    products: [
      routing(layer, layer.numExperts, image),
      ...expertProducts(layer, image, layer.patchesPerExpert),
      output,
    ],
    dense: {
      parameters: dense.parameters + shapeSize(head),
      products: [...dense.products, output],
    },
  }
}

function sampleMoEWork(layer: SampleMoE, map: readonly number[]): Work {
  const { numExperts, expertsPerSample, outputs, filtersPerOutput, gate, activation } = layer
  // Linear filters are summed before they are computed, and so are the patches that they see.
  const perExpert =
    activation === 'linear'
      ? shapeSize(layer.patchSize) * lastOf(map) * outputs
      : shapeSize(map) * outputs * filtersPerOutput
  const experts = (count: number) => product(perExpert * count, trains(layer, 'kernel'))
  const kernels = layer.weights.filter(weight => !isNamed(weight, 'router'))
  const isRouted = numExperts > 1 || gate !== 'uniform'
  return {
    products: [...(isRouted ? [sampleRouting(layer, map)] : []), experts(expertsPerSample)],
    dense: {
      parameters: sum(kernels.map(weight => shapeSize(shapeOf(weight)))),
      products: [experts(numExperts - layer.prunedExperts.length)],
    },
  }
}

/** What the experts of a layer compute where each gets so many patches. */
function expertProducts(
  layer: PatchMoE | TwoLayerExperts,
  map: readonly number[],
  patches: number,
): readonly Product[] {
  return layer.experts.products(patches, lastOf(map), weight => trains(layer, weight))
}

/** The same experts on every patch, without what they normalise by and without routers. */
function denseWork(layer: PatchMoE | TwoLayerExperts, map: readonly number[]) {
  const patches = shapeSize(map.slice(0, 2)) / shapeSize(layer.patchSize)
  const kernels = layer.experts.weights(lastOf(map)).filter(({ name }) => !NORMALIZERS.includes(name))
  return {
    parameters: sum(kernels.map(({ shape }) => shapeSize(shape))),
    products: expertProducts(layer, map, patches).map(({ learnedInside: _, ...own }) => own),
  }
}

/** Weights of BatchNorm. */
const NORMALIZERS: readonly string[] = ['gamma', 'beta', 'moving_mean', 'moving_variance']

/** Forward, the scores of all patches; backward, only the scores that the gate depends on. */
function routing(
  layer: PatchMoE | PatchGate | TwoLayerExperts,
  numExperts: number,
  map: readonly number[],
): Product {
  const gradient = {
    kept: layer.patchesPerExpert * shapeSize(layer.patchSize) * lastOf(map) * numExperts,
    all: shapeSize(map) * numExperts,
    nothing: 0,
  }[gateKind(layer.gate).dependsOn]
  return { forward: shapeSize(map) * numExperts, gradient, trained: trains(layer, 'router') }
}

/** Every expert scores the sum of the patches; gates other than 'uniform' give the router a gradient. */
function sampleRouting(layer: SampleExperts | SampleMoE, map: readonly number[]): Product {
  const scores = shapeSize(layer.patchSize) * lastOf(map) * layer.numExperts
  return {
    forward: scores,
    gradient: layer.gate === 'uniform' ? 0 : scores,
    trained: trains(layer, 'router'),
  }
}

function requiredShape(layer: tfl.layers.Layer, name: string): number[] {
  const weight = layer.weights.find(weight => isNamed(weight, name))
  if (!weight) throw new Error(`modelCost: ${layer.name} must have a weight ${name}, got none`)
  return shapeOf(weight)
}

function trains(layer: tfl.layers.Layer, name: string): boolean {
  return layer.trainableWeights.some(weight => isNamed(weight, name))
}

function isNamed(weight: tfl.LayerVariable, name: string): boolean {
  return weight.originalName.split('/').at(-1) === name
}

function lastOf(shape: readonly number[]): number {
  return shape.at(-1) ?? 1
}

/** The shape of a weight, whose sides are all known. */
export function shapeOf(weight: tfl.LayerVariable): number[] {
  return weight.shape.map(Number)
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
