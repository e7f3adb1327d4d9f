const _imports_2 = "/results/transfer/figure.png";
export {
  _imports_2 as _
};
