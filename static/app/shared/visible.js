// Whether an element is seen. Safari before 17.4 cannot say it; there what is not seen has no boxes.
export const isVisible = (element) =>
  element.checkVisibility?.() ?? element.getClientRects().length > 0;
