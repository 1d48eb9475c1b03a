"""`/glossary`: the words of the product."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from scheduler.dashboard.access import Reader
from scheduler.dashboard.glossary import GLOSSARY
from scheduler.dashboard.rendering import show

router = APIRouter(prefix="/glossary")


@router.get("")
def show_glossary(request: Request, visitor: Reader) -> HTMLResponse:
    """Show every word with its meaning."""
    return show(request, visitor, "glossary.html", words=list(GLOSSARY.items()))
