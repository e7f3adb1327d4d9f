import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  addAuxiliaryTerm,
  auxiliaryTermsOf,
  collectAuxiliaryTerms,
} from '../../src/layers/auxiliary-terms.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(() => useTestBackend())

describe('collectAuxiliaryTerms', () => {
  it('sums the terms of a name, and keeps them when the scope that made them ends', () => {
    const before = tf.memory().numTensors
    const { value, terms } = collectAuxiliaryTerms(() => {
      tf.tidy(() => addAuxiliaryTerm('load-balance', () => tf.sum(tf.tensor1d([1, 2]))))
      tf.tidy(() => addAuxiliaryTerm('load-balance', () => tf.scalar(0.5)))
      return 'forward'
    })
    expect(value).toBe('forward')
    expect([...terms.keys()]).toEqual(['load-balance'])
    expect(terms.get('load-balance')?.dataSync()[0]).toBe(3.5)
    for (const term of terms.values()) term.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  it('computes nothing where no step collects', () => {
    let computed = 0
    const term = () => {
      computed++
      return tf.scalar(1)
    }
    addAuxiliaryTerm('load-balance', term)
    collectAuxiliaryTerms(() => undefined)
    addAuxiliaryTerm('load-balance', term)
    expect(computed).toBe(0)
  })

  it('gives a collection within another terms of its own', () => {
    const outer = collectAuxiliaryTerms(() => {
      const inner = collectAuxiliaryTerms(() => addAuxiliaryTerm('load-balance', () => tf.scalar(1)))
      addAuxiliaryTerm('load-balance', () => tf.scalar(2))
      return inner
    })
    expect(outer.value.terms.get('load-balance')?.dataSync()[0]).toBe(1)
    expect(outer.terms.get('load-balance')?.dataSync()[0]).toBe(2)
  })

  it('frees the terms of a forward pass that fails, and ends its collection', () => {
    const before = tf.memory().numTensors
    const forward = () => {
      addAuxiliaryTerm('load-balance', () => tf.scalar(1))
      addAuxiliaryTerm('load-balance', () => tf.zeros([2, 3]))
    }
    expect(() => collectAuxiliaryTerms(forward)).toThrow(
      new RangeError('addAuxiliaryTerm: load-balance must be a scalar, got shape [2, 3]'),
    )
    expect(tf.memory().numTensors).toBe(before)
    addAuxiliaryTerm('load-balance', () => {
      throw new Error('collected after the end')
    })
  })
})

describe('auxiliaryTermsOf', () => {
  it('finds the terms that layers list, in nested models too', () => {
    const dense = tf.layers.dense({ units: 2, inputShape: [3] })
    const inner = tf.sequential({ layers: [dense] })
    const model = tf.sequential({ layers: [inner] })
    expect([...auxiliaryTermsOf(model)]).toEqual([])
    Object.assign(dense, { auxiliaryTerms: ['load-balance'] })
    expect([...auxiliaryTermsOf(model)]).toEqual(['load-balance'])
  })
})
