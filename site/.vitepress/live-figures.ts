import type { MarkdownRenderer } from 'vitepress'

/** The pictures that become figures that readers can change, by the names of their files: the component of each. */
const figures: Readonly<Record<string, string>> = { 'method-routing.png': 'MethodFigure' }

/** Puts a component around each picture that has one. Where no script runs, the picture stays. */
export function liveFigures(md: MarkdownRenderer): void {
  const image = md.renderer.rules.image!
  md.renderer.rules.image = (tokens, index, ...rest) => {
    const still = image(tokens, index, ...rest)
    const name = String(tokens[index]!.attrGet('src')).split('/').at(-1) ?? ''
    const component = figures[name]
    return component ? `<${component}>${still}</${component}>` : still
  }
}
