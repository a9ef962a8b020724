"""ReportService: published figures, as messages and as files."""

import csv
import io
import json
from collections.abc import Callable, Iterator

from aid.intake.v1 import reports_pb2 as messages

from services.chassis.call import Call, Route, allow
from services.intake.application.reports_ports import Report
from services.intake.domain.refusal import invalid, not_found
from services.intake.domain.reports import Cell, Indicator, Period
from services.intake.entrypoints import requests, words
from services.intake.entrypoints.door import Door

SERVICE = "aid.intake.v1.ReportService"
_READERS = allow("auditor", "operator")
RULES = {"ListReports": _READERS, "GetReport": _READERS, "ExportReport": _READERS}
ROUTES = (
    Route("GET", "/v1/reports", "ListReports"),
    Route("GET", "/v1/reports/{period}", "GetReport"),
    Route("GET", "/v1/reports/{period}/file", "ExportReport"),
)

_HEADINGS = ("first day", "last day", "area", "indicator", "category", "households")
# Humanitarian Exchange Language 1.1: what each column holds.
_HXL = (
    "#date+start",
    "#date+end",
    "#adm1+name",
    "#indicator+name",
    "#indicator+category",
    "#affected+hh+num",
)
_NOT_TOLD = "<10 or withheld"


class ReportRpc:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def ListReports(
        self, request: messages.ListReportsRequest, call: Call
    ) -> messages.ListReportsResponse:
        async with self._door.within(call)() as work:
            periods = await work.reports.periods()
        return messages.ListReportsResponse(periods=[period.name for period in periods])

    async def GetReport(self, request: messages.GetReportRequest, call: Call) -> messages.GetReportResponse:
        report = await self._found(request.period, call)
        answer = messages.GetReportResponse(
            period=report.period.name,
            first_day=report.period.first_day.isoformat(),
            last_day=report.period.last_day.isoformat(),
            published_at=words.timestamp(report.published_at),
        )
        for indicator, cell in _cells(report):
            answer.cells.add(
                indicator=indicator.value, area=cell.area, category=cell.category, suppressed=cell.count is None,
                households=cell.count or 0,
            )  # fmt: skip
        return answer

    async def ExportReport(
        self, request: messages.ExportReportRequest, call: Call
    ) -> messages.ExportReportResponse:
        ending, media_type, write = requests.word_in(_FORMATS, request.format, "format")
        report = await self._found(request.period, call)
        return messages.ExportReportResponse(
            file_name=f"{report.period.name}.{ending}", media_type=media_type, content=write(report)
        )

    async def _found(self, name: str, call: Call) -> Report:
        try:
            period = Period.parse(name)
        except ValueError:
            raise invalid(
                "period-malformed", 'A period is a quarter, as "2026-Q3".', field="period"
            ) from None
        async with self._door.within(call)() as work:
            report = await work.reports.find(period)
        if report is None:
            raise not_found()
        return report


def _cells(report: Report) -> Iterator[tuple[Indicator, Cell]]:
    for indicator, cells in report.cells.items():
        for cell in cells:
            yield indicator, cell


def _csv(report: Report, *tags: tuple[str, ...]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_HEADINGS)
    writer.writerows(tags)
    days = (report.period.first_day.isoformat(), report.period.last_day.isoformat())
    for indicator, cell in _cells(report):
        count = _NOT_TOLD if cell.count is None else cell.count
        writer.writerow((*days, cell.area, indicator.value, cell.category, count))
    return out.getvalue()


def _hxl(report: Report) -> str:
    return _csv(report, _HXL)


def _json(report: Report) -> str:
    cells = [
        {
            "indicator": indicator.value,
            "area": cell.area,
            "category": cell.category,
            "households": cell.count,
        }
        for indicator, cell in _cells(report)
    ]
    period = report.period
    return json.dumps(
        {
            "period": period.name,
            "firstDay": period.first_day.isoformat(),
            "lastDay": period.last_day.isoformat(),
            "publishedAt": report.published_at.isoformat(),
            "cells": cells,
        },
        indent=1,
    )


_FORMATS: dict[int, tuple[str, str, Callable[[Report], str]]] = {
    messages.REPORT_FORMAT_CSV: ("csv", "text/csv", _csv),
    messages.REPORT_FORMAT_HXL: ("hxl.csv", "text/csv", _hxl),
    messages.REPORT_FORMAT_JSON: ("json", "application/json", _json),
}
