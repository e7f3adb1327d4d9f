import { describe, expect, it } from 'vitest'
import { classesOf, freeName, joinedClasses } from '../../../site/playground/pictures/class-folders.js'

const classes = (...paths: string[]) => classesOf(paths.map(path => ({ path, file: path })))

describe('classes of files', () => {
  it('are the folders, whatever holds them', () => {
    const expected = [
      { name: 'cats', pictures: ['pets/cats/1.jpg'] },
      { name: 'dogs', pictures: ['pets/dogs/1.jpg', 'pets/dogs/2.jpg'] },
    ]
    expect(classes('pets/dogs/1.jpg', 'pets/cats/1.jpg', 'pets/dogs/2.jpg')).toEqual(expected)
    expect(classes('cats/1.jpg', 'dogs/1.jpg').map(({ name }) => name)).toEqual(['cats', 'dogs'])
    expect(classes('a/b/cats/1.jpg', 'a/b/dogs/1.jpg').map(({ name }) => name)).toEqual(['cats', 'dogs'])
  })

  it('have what lies in deeper folders', () => {
    const found = classes('cats/indoor/1.jpg', 'cats/2.jpg', 'dogs/outdoor/a/3.jpg')
    expect(found).toEqual([
      { name: 'cats', pictures: ['cats/indoor/1.jpg', 'cats/2.jpg'] },
      { name: 'dogs', pictures: ['dogs/outdoor/a/3.jpg'] },
    ])
  })

  it('join the halves of a dataset', () => {
    const found = classes('pets/train/cats/1.jpg', 'pets/Test/cats/2.jpg', 'pets/train/dogs/3.jpg')
    expect(found.map(({ name, pictures }) => [name, pictures.length])).toEqual([
      ['cats', 2],
      ['dogs', 1],
    ])
  })

  it('are one for one folder, and without a name for none', () => {
    expect(classes('cats/1.jpg', 'cats/2.jpg').map(({ name }) => name)).toEqual(['cats'])
    expect(classes('1.jpg', '2.jpg')).toEqual([{ name: '', pictures: ['1.jpg', '2.jpg'] }])
    expect(classes()).toEqual([])
  })

  it('leave out what systems put into folders, and compose names', () => {
    expect(classes('cats/.DS_Store', 'cats/1.jpg', '__MACOSX/cats/2.jpg', 'dogs/Thumbs.db')).toEqual([
      { name: 'cats', pictures: ['cats/1.jpg'] },
    ])
    expect(classes('Cafe\u0301/1.jpg', 'Caf\u00e9/2.jpg', 'tea/3.jpg').map(({ name }) => name)).toEqual([
      'Caf\u00e9',
      'tea',
    ])
  })
})

it('classes of the same name are joined, and those without one get one', () => {
  const first = joinedClasses([], [{ name: 'cats', pictures: [1] }])
  const second = joinedClasses(first, [
    { name: 'cats', pictures: [2] },
    { name: '', pictures: [3] },
  ])
  expect(second).toEqual([
    { name: 'cats', pictures: [1, 2] },
    { name: 'class 1', pictures: [3] },
  ])
  expect(freeName(['class 1', 'class 3'])).toBe('class 2')
})
