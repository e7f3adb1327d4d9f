import { shapeSize } from '../../shapes.js'

/** Numbers of one of these kinds, with a shape. */
interface Numbers<Data extends Float32Array | Int32Array | Int8Array> {
  readonly data: Data
  readonly shape: readonly number[]
}

/**
 * Numbers with their axes in another order.
 *
 * @param order position of each new axis among the old ones
 */
export function transposed<Data extends Float32Array | Int32Array | Int8Array>(
  { data, shape }: Numbers<Data>,
  order: readonly number[],
): Numbers<Data> {
  const turned = data.slice() as Data
  const steps = shape.map((_, axis) => shapeSize(shape.slice(axis + 1)))
  const sides = order.map(axis => shape[axis] as number)
  const strides = order.map(axis => steps[axis] as number)
  const position = new Array<number>(order.length).fill(0)
  let from = 0
  for (let to = 0; to < turned.length; to++) {
    turned[to] = data[from] as number
    for (let axis = order.length - 1; axis >= 0; axis--) {
      from += strides[axis] as number
      position[axis] = (position[axis] as number) + 1
      if (position[axis] !== sides[axis]) break
      from -= (strides[axis] as number) * (sides[axis] as number)
      position[axis] = 0
    }
  }
  return { data: turned, shape: sides }
}
